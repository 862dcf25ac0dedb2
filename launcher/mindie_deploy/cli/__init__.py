"""The command line: commands, tables, progress. Nobody calls it."""
