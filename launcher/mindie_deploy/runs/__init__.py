"""Runs of playbooks through ansible-runner."""
