# Environment of the simulated MindIE: the parts, each with its own file.
for part in mindie-rt mindie-torch mindie-service mindie-llm; do
    . "/usr/local/Ascend/mindie/latest/${part}/set_env.sh"
done
unset part
