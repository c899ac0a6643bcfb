"""The lease, simulated on databases that nobody here has, and what measures it in real processes."""
