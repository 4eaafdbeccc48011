"""Models of pictures and videos: implicit neural representations of what a screen shows.

A model is one of a *clip*, pictures that follow one another, and a chain of them is a video. One
says the colour of each pixel by its place (:class:`PixelWise`), or a whole picture by its time
(:class:`ImageWise`).
"""

from nmc_framework.models.pictures.clip import ClipBatch, ClipModel, ImageWise, PixelWise, played

__all__ = ["ClipBatch", "ClipModel", "ImageWise", "PixelWise", "played"]
