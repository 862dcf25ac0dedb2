"""launch.sh: what the container runs. It prepares the environment and starts the daemon.

The shell stays and hands signals on when it is process 1 of the container. The kernel does not let process 1 kill
itself: MindIE ends a refused start by SIGKILL to its own process group and a failed worker by abort(), and as process
1 it would survive the first (seen: it goes on) and end with 139 instead of 134 on the second. With an init process
before it (docker --init) it is replaced by the daemon.
"""

from __future__ import annotations

from mindie_deploy.mindie.versions import DAEMON, Version

NOT_IN_IMAGE = 78  # EX_CONFIG of sysexits.h: the image is not what the settings say

TEMPLATE = """\
#!/bin/bash
# Starts MindIE. Made by mindie-deploy: changes here are lost.
umask 027
# Without a handler process 1 is deaf to signals.
trap 'exit 143' TERM INT HUP

for file in @SET_ENV_FILES@; do
  # Such files read unset variables and return non-zero in passing, so neither is an error here.
  if [ -f "$file" ]; then . "$file"; fi
done

# Again, because set_env.sh files set some of these themselves.
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in
    [A-Za-z_]*=*) export "$line" ;;
  esac
done < @ENVIRONMENT@

# A proxy breaks the traffic between hosts.
unset http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
# The rank table names every NPU of the host.
unset ASCEND_RT_VISIBLE_DEVICES NPU_VISIBLE_DEVICES NPU_DEVICE_IDS @UNSET@

service=
@STARTER@for directory in @SERVICE_DIRECTORIES@; do
  if [ -z "$service" ] && [ -x "$directory/@DAEMON@" ]; then
    service=$directory
    command=./@DAEMON@
  fi
done
if [ -z "$service" ]; then
  echo "mindie-deploy: this image has no MindIE @VERSION@: no @DAEMON@ in @SERVICE_DIRECTORIES@" >&2
  echo "mindie-deploy: set mindie_image to a MindIE image and mindie_version to its version" >&2
  exit @NOT_IN_IMAGE@
fi
cd "$service" || exit @NOT_IN_IMAGE@

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
"""

STARTER = """\
if command -v @NAME@ >/dev/null 2>&1; then
  service=${HOME:-/tmp}
  command=@NAME@
fi
"""


def launch_script(version: Version, environment_path: str, several_hosts: bool) -> str:
    """Returns the script's text. `environment_path` is the env file's path inside the container."""
    starter = STARTER.replace("@NAME@", version.starter) if version.starter else ""
    alone = () if several_hosts else version.rank_table_variables
    values = {
        "STARTER": starter,
        "SET_ENV_FILES": " ".join(version.set_env_files),
        "ENVIRONMENT": environment_path,
        "UNSET": " ".join(("HOST_IP", "MIES_CONTAINER_MANAGEMENT_IP", *alone)),
        "SERVICE_DIRECTORIES": " ".join(version.service_directories),
        "DAEMON": DAEMON,
        "VERSION": version.name,
        "NOT_IN_IMAGE": str(NOT_IN_IMAGE),
    }
    text = TEMPLATE
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
