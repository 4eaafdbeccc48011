"""What a command that serves says once it listens: its address, to people or to a script."""

from __future__ import annotations

import json
import os
import sys
import webbrowser

from nmc_tools.terminal import out, printable, say


def tell_listening(address: str, words: str, *, as_json: bool, browser: bool = False) -> None:
    """Print the address after some words, or as one line of JSON, and open it in a browser.

    The line of JSON has ``event``, ``url`` and ``pid``; it is flushed, since a script waits for it.
    """
    if as_json:
        line = json.dumps({"event": "listening", "url": address, "pid": os.getpid()})
        sys.stdout.write(line + "\n")
    else:
        line = printable(f"{words} {address} (Ctrl-C ends it)")
        out.print(line, markup=False, soft_wrap=True)
    sys.stdout.flush()
    if browser and not webbrowser.open(address):
        say("no browser can be opened here; open that address in one")
