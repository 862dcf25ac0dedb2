# Environment of the simulated MindIE service.
export MIES_INSTALL_PATH=/usr/local/Ascend/mindie/latest/mindie-service
export LD_LIBRARY_PATH=${MIES_INSTALL_PATH}/lib:${LD_LIBRARY_PATH}
# The run package turns the logs down (source 4.4).
export MINDIE_LOG_LEVEL=ERROR
export MINDIE_LOG_TO_STDOUT=0
