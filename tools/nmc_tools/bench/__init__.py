"""Benchmarks: our coder beside what others reach, measured in the same run on the same chain."""
