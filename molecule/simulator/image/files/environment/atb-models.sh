# Environment of the simulated ATB models.
export ATB_SPEED_HOME_PATH=/usr/local/Ascend/atb-models
export LD_LIBRARY_PATH=${ATB_SPEED_HOME_PATH}/lib:${LD_LIBRARY_PATH}
export PYTHONPATH=${ATB_SPEED_HOME_PATH}:${PYTHONPATH}
