"""What ``nmc sr`` does: packages of networks that enlarge a video, and figures of them."""
