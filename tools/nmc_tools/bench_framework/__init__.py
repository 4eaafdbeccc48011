"""Benchmarks of the framework: what sharing and freezing weights buy, on the embedded scene."""
