"""Inverse graphics: from one picture of an object to a mesh, its texture and light, and back.

After Zhang et al. 2021, "Image GANs meet Differentiable Rendering for Inverse Graphics and
Interpretable 3D Neural Rendering" (arXiv 2010.09125; GANverse3D). A generator of pictures in layers
says what objects look like from viewpoints that it keeps apart from all else; a network learns
their shape, texture and light through a rasteriser with gradients.
"""
