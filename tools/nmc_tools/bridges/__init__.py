"""Delta checkpoints of systems that synchronise weights: to packages, and from them.

A chain of them is a folder. Each kind reads it into states and writes it from states, bit for bit.
"""
