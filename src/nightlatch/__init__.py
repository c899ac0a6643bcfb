"""Nightlatch: a self-hosted authentication service for multi-tenant HTTP APIs."""
