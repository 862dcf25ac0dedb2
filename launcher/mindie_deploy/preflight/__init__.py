"""Checks over facts, their findings and the report."""
