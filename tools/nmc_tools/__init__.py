"""Command line, importers and exporters, demo and benchmarks of NMC."""
