"""Models of x given conditions: the conditional VAE, and those whose condition is a label known for some rows."""
