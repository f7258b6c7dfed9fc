"""Steps: Adam, averaged weights, schedules, and what is done when a step is not finite."""
