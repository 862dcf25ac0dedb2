# Environment of the simulated MindIE Torch.
export LD_LIBRARY_PATH=/usr/local/Ascend/mindie/latest/mindie-torch/lib:${LD_LIBRARY_PATH}
