"""Vectors of chapter 13: signatures."""
