"""HTTP: bytes in, status codes and JSON out. Nothing here knows SQL."""
