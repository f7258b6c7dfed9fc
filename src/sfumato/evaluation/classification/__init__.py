"""How good predictions of classes are, and whether their probabilities can be taken as they stand."""
