"""Networks of sequences of symbols: encoders that read them, and decoders that spell them."""
