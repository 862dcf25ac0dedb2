"""Brings a large model up on a group of Ascend hosts with MindIE: pure decisions here, Ansible carries them out."""

__version__ = "0.1.0"
