"""Images: levels of one shape."""
