"""Whether memory may answer now, and when an ended token is refused everywhere."""
