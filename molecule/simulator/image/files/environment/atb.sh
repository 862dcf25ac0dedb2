# Environment of the simulated ATB acceleration library.
export ATB_HOME_PATH=/usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_0
export LD_LIBRARY_PATH=${ATB_HOME_PATH}/lib:${LD_LIBRARY_PATH}
export PATH=${ATB_HOME_PATH}/bin:${PATH}
