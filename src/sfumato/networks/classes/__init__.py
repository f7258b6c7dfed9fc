"""Networks that tell or use the class of an example."""
