"""Discrete codes: quantizers, the networks on grids and lines of codes, and the prior of codes."""
