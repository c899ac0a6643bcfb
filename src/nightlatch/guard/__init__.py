"""What makes guessing expensive and overload bounded."""
