"""Counts: examples whose entries say how often something was seen, as genes in cells."""
