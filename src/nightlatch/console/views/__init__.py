"""What the console's pages show: frozen values, made from the model's by pure functions."""
