"""The page of ``nmc depth serve``: a picture goes up, its depth and a turning view come back."""
