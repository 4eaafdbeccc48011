"""Rate and distortion: bytes on disk against what is seen, of our coder and of the peers."""
