"""Text: sequences of symbols."""
