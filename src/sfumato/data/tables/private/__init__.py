"""Private training of tables: rows drawn from noisy counts, in the place of those of the training split."""
