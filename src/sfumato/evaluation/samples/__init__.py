"""Whether samples are as good, as varied and as new as real examples."""
