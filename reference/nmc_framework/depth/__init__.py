"""Depth from one picture: a network, its training, its metrics, and rooms to train it on.

The network is the family ``depth_unet``. It learns from pictures with depth: of made-up rooms, or
read from NYU Depth V2, 7-Scenes, TUM and ICL-NUIM. A model that is adapted from room to room is a
chain of which the encoder is frozen.
"""
