"""Commands that put a trained model to one use, as completion or forecasts."""
