"""What a training writes: checkpoints, state, history, and the folder they lie in."""
