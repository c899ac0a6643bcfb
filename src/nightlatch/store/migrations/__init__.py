"""Alembic migrations: forward only, one transaction each run, applied by `nightlatch migrate`."""
