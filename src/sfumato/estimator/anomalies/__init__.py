"""`AnomalyDetector`, which fits and scores in one object, and what it reads."""
