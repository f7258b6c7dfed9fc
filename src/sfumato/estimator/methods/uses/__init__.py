"""What can be done with a fitted model besides sampling, encoding and scoring: a mixin for each use."""
