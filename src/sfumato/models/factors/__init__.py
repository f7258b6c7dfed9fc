"""Models whose latents are to be factors of variation, one each: β-VAE, β-TCVAE and FactorVAE."""
