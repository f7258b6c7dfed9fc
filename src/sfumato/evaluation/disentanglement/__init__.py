"""Whether each latent means one thing."""
