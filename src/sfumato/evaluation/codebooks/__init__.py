"""How discrete codes use their codebooks."""
