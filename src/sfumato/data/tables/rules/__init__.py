"""What rows of a table must keep, as a user states it."""
