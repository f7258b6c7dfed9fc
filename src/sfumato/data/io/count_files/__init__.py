"""Files of counts, and the matrix they hold."""
