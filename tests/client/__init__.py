"""The Python client (clients/python), against Nightlatch and against a real knox service."""
