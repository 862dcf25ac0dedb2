"""Runs of Ansible: starts playbooks through ansible-runner, follows their events, cancels them, keeps a record."""
