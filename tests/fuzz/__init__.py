"""Inputs nobody would think of, led by coverage: python -m tests.fuzz."""
