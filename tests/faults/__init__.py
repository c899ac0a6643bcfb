"""What each endpoint answers while something is broken, and afterwards."""
