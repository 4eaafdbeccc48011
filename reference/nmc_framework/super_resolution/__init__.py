"""Super-resolution of video by self-transfer: a network that is fine-tuned on the very video.

A sender has the original, or only the small video; either way the network of a scene is fine-tuned
from that of the scene before, and the chain of them goes with the coded small video. Frame 0 of a
chain is the network as it was pre-trained, frame *t* that of scene *t*.

``upscaler``, ``edsr``, ``vdsr``
    networks that enlarge pictures, as families of models;
``resampling``
    the bicubic filter that makes small pictures, and the one that networks are compared with;
``footage``, ``scenes``
    a video's pictures with their times and kinds, and where its scenes begin;
``patches``, ``criteria``
    what a network learns from, and by which loss;
``pretraining``, ``self_transfer``
    a network of many pictures, and a chain of networks of one video;
``luma``, ``niqe``, ``opinion``, ``preference``
    how good the result is: beside the original, without it, and to people.
"""

from nmc_framework.super_resolution.upscaler import PatchBatch, Upscaler, upscaling

__all__ = ["PatchBatch", "Upscaler", "upscaling"]
