"""How well sounds are reconstructed, and in how many bits."""
