"""``make bench-transmission``: seeking, serving and playing over loopback, beside nginx."""
