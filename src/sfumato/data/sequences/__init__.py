"""Sequences: steps of one or several channels, with or without time stamps."""
