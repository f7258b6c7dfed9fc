"""What watches a training: callbacks, progress, TensorBoard, and interruption."""
