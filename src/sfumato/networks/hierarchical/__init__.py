"""Several layers of latents: their joint posterior, ladders, and the top-down network."""
