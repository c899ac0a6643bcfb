"""Benchmarks: `make bench`. Ratios against a baseline in the same run, on this machine."""
