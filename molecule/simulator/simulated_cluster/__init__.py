"""Hosts that are real but for their NPUs: SSH servers with a container engine each, on a network of their own."""
