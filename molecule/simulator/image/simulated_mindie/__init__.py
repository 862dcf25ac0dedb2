"""A stand-in for MindIE's serving daemon: its refusals, lines, exit statuses and HTTP answers, without a model.

Where a comment says "source N", "fault N" or "field notes N", docs/simulator-mindie.md says which public file or page
that is. Python 3.11 standard library only: it runs inside the simulated image.
"""
