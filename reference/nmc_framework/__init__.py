"""The framework of clause 5: multi-view video in, chained models and 6DoF video out.

One room a box of the standard's figure 5-1, and data flows one way through them:

``capture``
    synchronous videos or image folders to frames of views;
``cameras``
    camera parameters and their conversion to the one convention used here;
``sfm``
    structure from motion: the cameras of a rig from its own images;
``models``
    families of 3D reconstruction models behind one protocol;
``training``
    chains: frame 0 from random weights, frame t from frame t-1, layers frozen on request;
``rendering``
    a user's viewpoint track to 6DoF video;
``evaluation``
    held-out views against the truth: PSNR, SSIM, tables and plots;
``super_resolution``
    networks that enlarge a video, fine-tuned on it scene by scene;
``scene``
    a procedural dynamic scene to film where there is no footage;
``depth``
    depth from one picture: a network, made-up rooms, other people's data, metrics.
"""
