"""The promises across failovers of a replicated PostgreSQL whose deposed primary lives on.

`python -m tests.failover --help` runs it; docs in run.py. Traffic, history and checker are those of
`tests/robustness`. Nothing here belongs to the product.
"""
