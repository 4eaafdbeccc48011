"""How long a thread of torch waits awake for the next piece of work before it sleeps."""

from typing import Final

BRIEFLY: Final = ("GOMP_SPINCOUNT", "100000")
"""An environment variable of libgomp, read when torch is loaded, and its value: a third of a
millisecond, which is longer than from one operation to the next.

Threads that sleep at once are woken on the core of the one that wakes them where another program
runs on the other: two of them then take as long as one. 200 steps of the dome scene beside other
work took 27 to 32 s so, and 19 s with this. Threads that never sleep take the cores from the
kernels of numba."""
