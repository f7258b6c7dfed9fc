"""Models with sparse codes or a sparse decoder."""
