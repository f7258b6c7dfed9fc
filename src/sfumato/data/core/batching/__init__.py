"""From a data set to batches: in memory, in shards and in a stream."""
