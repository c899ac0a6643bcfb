"""Values and errors: what every other layer speaks in. Standard library only."""
