"""Sizes in words, in powers of 1000 as disks are sold and model sizes are told."""

from __future__ import annotations


def size_text(size: int) -> str:
    """Returns bytes with three digits: "1.34 TB", "455 GB", "0 B"."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"
