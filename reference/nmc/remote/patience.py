"""How long a reader waits for a server, and how often it asks again (decision 0070)."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRESS_BYTES = 1 << 16
"""An answer that brought so many bytes was worth waiting for: tries are counted anew after it."""

_LONGEST_PAUSE = 30.0


class Broken(Exception):  # noqa: N818 - not the end: it is asked again
    """A server did not answer, or broke off; another attempt may go well.

    Parameters
    ----------
    reason : str
        For the message, if no attempt goes well.
    after : float
        Seconds that the server asked to wait.
    """

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True)
class Patience:
    """How long a reader waits for a server.

    Attributes
    ----------
    timeout : float
        Seconds for a connection, for the head of an answer, and for each 64 KiB of its body. A
        server that sends slower than that stands still.
    tries : int
        Attempts without progress before it is an error.
    pause : float
        Seconds before the second attempt; twice as many before each further one.
    """

    timeout: float = 20.0
    tries: int = 5
    pause: float = 0.2

    def __post_init__(self) -> None:
        if not (self.timeout > 0 and self.tries >= 1 and self.pause >= 0):
            raise ValueError("timeout is above 0, tries at least 1, pause at least 0")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Patience:
        """Return what the options of a caller say, the rest as usual."""
        known = ("timeout", "tries", "pause")
        return cls(**{name: options[name] for name in known if options.get(name) is not None})

    def wait(self, attempt: int, after: float = 0.0) -> None:
        """Sleep before another attempt, the first of which has number 1."""
        usual = self.pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
        time.sleep(min(_LONGEST_PAUSE, max(usual, after)))
