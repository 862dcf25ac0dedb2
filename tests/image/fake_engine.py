"""A container engine that knows one image: it is there once an archive was loaded."""

from __future__ import annotations

from pathlib import Path

REFERENCE = "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts"
SCRIPT = """#!/bin/sh
here=$(dirname "$0")
case "$1 $2" in
"image inspect")
  if [ -e "$here/image" ]; then echo '[{"Id": "sha256:16aa", "Architecture": "arm64"}]'; exit 0; fi
  echo "Error: No such image: $3" >&2; exit 1 ;;
"load --input")
  if [ -e "$here/broken" ]; then echo "no space left on device" >&2; exit 1; fi
  echo "$3" >> "$here/loads"
  if [ -e "$here/other" ]; then echo "Loaded image: other:1"; else cp "$3" "$here/image"; fi ;;
*) exit 2 ;;
esac
"""


class FakeEngine:
    """The engine of one host, in a directory of its own.

    `image` is what was loaded. With `broken` in the directory loading fails, with `other` it brings another image.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.client = directory / "docker"
        self.client.write_text(SCRIPT)
        self.client.chmod(0o755)

    @property
    def image(self) -> Path:
        return self.directory / "image"

    @property
    def loads(self) -> list[str]:
        """The archives that were loaded."""
        path = self.directory / "loads"
        return path.read_text().splitlines() if path.exists() else []
