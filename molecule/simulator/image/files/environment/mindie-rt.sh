# Environment of the simulated MindIE runtime.
export LD_LIBRARY_PATH=/usr/local/Ascend/mindie/latest/mindie-rt/lib:${LD_LIBRARY_PATH}
