"""What a training runs on: devices, threads, several processes, and their random numbers."""
