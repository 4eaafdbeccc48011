"""Vectors of clause 15: messages."""
