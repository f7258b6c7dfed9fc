"""Where random numbers come from: the generators of one call, and the system's entropy for private training."""
