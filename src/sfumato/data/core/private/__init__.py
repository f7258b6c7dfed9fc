"""What is learned of columns under differential privacy: noisy counts, and a schema that follows from them alone."""
