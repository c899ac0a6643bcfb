"""The console: pages on which owners and members see and end tokens, in a browser."""
