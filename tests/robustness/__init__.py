"""The promises under load and faults: traffic, faults, a history of every call, and its check.

`python -m tests.robustness --help` runs it; docs in run.py. Nothing here belongs to the product.
"""
