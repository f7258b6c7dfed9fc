"""Differentially private training: batches drawn at random, gradients cut example by example, noise, and an account."""
