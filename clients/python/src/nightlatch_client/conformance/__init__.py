"""The contract as cases, and a kit that puts them to any service that claims to keep it."""
