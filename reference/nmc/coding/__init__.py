"""States and segments (chapters 6 to 9): one is made of the other here, frame by frame."""
