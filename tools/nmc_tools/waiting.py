"""How long a thread of torch waits awake for the next piece of work before it sleeps."""

from typing import Final

BRIEFLY: Final = ("GOMP_SPINCOUNT", "1000")
"""An environment variable of libgomp, read when torch is loaded, and its value: some microseconds.

A thread that waits awake keeps a core from whom it waits for, wherever anything else runs on the
machine. On two cores 100 steps of the dome scene take 9 s with any value. Beside another program
that is busy on one core they took 54 s with 100,000, 18 s with 3,000, 15 to 18 s with this and 14 s
where threads sleep at once; two such trainings at a time 76 s each with 100,000, 18 s with this and
16 s asleep. To sleep at once costs up to a sixth where nothing else runs."""
