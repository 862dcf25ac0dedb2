# Environment of the simulated MindIE LLM engine. The directory is no Python package, so the daemon passes it over.
export MINDIE_LLM_HOME_PATH=/usr/local/Ascend/mindie/latest/mindie-llm
export LD_LIBRARY_PATH=${MINDIE_LLM_HOME_PATH}/lib:${LD_LIBRARY_PATH}
