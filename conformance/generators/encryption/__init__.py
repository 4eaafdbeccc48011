"""Vectors of chapter 14: encryption."""
