#!/bin/bash
# Starts MindIE. Made by mindie-deploy: changes here are lost.
umask 027
# Without a handler process 1 is deaf to signals.
trap 'exit 143' TERM INT HUP

for file in /usr/local/Ascend/ascend-toolkit/set_env.sh /usr/local/Ascend/cann/set_env.sh /usr/local/Ascend/nnal/atb/set_env.sh /usr/local/Ascend/atb-models/set_env.sh /usr/local/Ascend/llm_model/set_env.sh /usr/local/Ascend/mindie/set_env.sh; do
  # Such files read unset variables and return non-zero in passing, so neither is an error here.
  if [ -f "$file" ]; then . "$file"; fi
done

# Again, because set_env.sh files set some of these themselves.
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in
    [A-Za-z_]*=*) export "$line" ;;
  esac
done < /var/lib/mindie-deploy/deepseek-r1/environment

# A proxy breaks the traffic between hosts.
unset http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
# The rank table names every NPU of the host.
unset ASCEND_RT_VISIBLE_DEVICES NPU_VISIBLE_DEVICES NPU_DEVICE_IDS HOST_IP MIES_CONTAINER_MANAGEMENT_IP

service=
for directory in /usr/local/Ascend/mindie/latest/mindie-service; do
  if [ -z "$service" ] && [ -x "$directory/bin/mindieservice_daemon" ]; then
    service=$directory
    command=./bin/mindieservice_daemon
  fi
done
if [ -z "$service" ]; then
  echo "mindie-deploy: this image has no MindIE 2.0.RC2: no bin/mindieservice_daemon in /usr/local/Ascend/mindie/latest/mindie-service" >&2
  echo "mindie-deploy: set mindie_image to a MindIE image and mindie_version to its version" >&2
  exit 78
fi
cd "$service" || exit 78

if [ "$$" -ne 1 ]; then
  exec "$command"
fi

# Process 1 cannot kill itself, and the daemon ends that way, so it must be a child.
daemon=
signalled=
trap 'signalled=yes; [ -z "$daemon" ] || kill -TERM "$daemon" 2>/dev/null' TERM INT HUP
"$command" &
daemon=$!
# One that came before the daemon was known.
if [ -n "$signalled" ]; then kill -TERM "$daemon"; fi
status=127
while :; do
  signalled=
  wait "$daemon"
  code=$?
  # 127: its status was taken by the wait before.
  if [ "$code" -ne 127 ]; then status=$code; fi
  # A signal to this shell ends the wait, not the daemon: wait again.
  if [ -z "$signalled" ]; then break; fi
done
exit "$status"
