"""The `nightlatch` command: one file for each noun it has."""
