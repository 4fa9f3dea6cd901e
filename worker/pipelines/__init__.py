"""What runs the diffusion models. Importing this package alone loads no deep-learning library."""
