"""What every kind of data has: schema, dataset, batches, split, options and labels."""
