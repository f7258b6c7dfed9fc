"""What codes hold of the examples, and how they match the prior."""
