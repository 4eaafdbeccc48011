"""Quantised tensors (chapter 12): integers on a grid, and the coder of their symbols."""
