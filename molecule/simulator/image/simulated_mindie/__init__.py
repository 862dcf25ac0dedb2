"""A stand-in for MindIE's serving daemon: the real one's refusals, lines, exit statuses and HTTP answers, without a model.

Where a comment says "source N", N is the section of the notes on MindIE's public source code (MindIE-LLM, 2026-04/05)
that docs/simulator-mindie.md lists. Python 3.11 standard library only: it runs inside the simulated image.
"""
