"""Models of primitives that are drawn onto pictures, in place of rays that look for them."""
