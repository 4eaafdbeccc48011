"""Bytes and speed of weights that travel between processes: messages beside the peers' layouts."""
