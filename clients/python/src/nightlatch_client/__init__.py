"""A client that reuses its token."""
