"""The fault matrix: what is made wrong on three simulated hosts, and what `check` must find, and nothing else."""
