"""What inverse graphics reaches on synthetic cars, step by step; each step is kept."""
