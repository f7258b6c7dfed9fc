"""Sound: waveforms of one rate, as they are or as mel spectrograms."""
