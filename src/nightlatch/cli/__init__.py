"""The `nightlatch` command: one file for each noun. Start with command.py, which they all go through."""
