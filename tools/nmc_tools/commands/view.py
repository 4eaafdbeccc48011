"""``nmc view``: a package in the browser."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nmc.writing.unfinished import SUFFIX
from nmc_format.host import absent
from nmc_format.package.members import JOURNAL_NAME
from nmc_tools.commands.installation import extra
from nmc_tools.commands.listening import tell_listening
from nmc_tools.commands.shared_options import JsonOption
from nmc_tools.terminal import refuse_input


def view(
    package: Annotated[
        str,
        typer.Argument(
            metavar="PKG|URL",
            help="A .nmc file or directory, one that is still written, or a presentation document; "
            "or its address.",
        ),
    ],
    frame: Annotated[int, typer.Option(min=0, help="The frame that is shown first.")] = 0,
    play: Annotated[bool, typer.Option("--play", help="Begin to play at once.")] = False,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", "-k", help="A public key that has to have signed, in a file; repeatable."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser, or say the address.")
    ] = True,
    render: Annotated[
        bool | None,
        typer.Option(
            "--render/--no-render",
            help="Render here what the browser cannot draw; default: where torch is.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Play a package in the browser: fetched, decoded and checked there, drawn by its graphics.

    What the browser cannot draw is rendered here, where the extra framework is installed. Serves
    the page, and the package if it is a file or folder of this machine, until Ctrl-C. What is still
    written is followed as it grows; of a presentation document the quality is chosen as it plays.

    Examples
    --------
      nmc view scene.nmc

      nmc view https://example.org/scene.nmc --no-browser

      nmc view scene.nmc --key studio.pub

      nmc view sequence.json    (made by nmc present)
    """
    from nmc_tools.adaptive.opening import is_document_name
    from nmc_tools.player.address import PAGE, is_address, page_address

    if not is_address(package) and not _is_there(Path(package)):
        raise absent(package)
    if not (PAGE / "index.html").is_file():
        refuse_input("input/unsupported", "nmc view", "the page is not built", "make player")
    with extra("serve", "nmc view"):
        from nmc_tools.serve.connections import Limits
        from nmc_tools.serve.running import Running, bound, url_of
    from nmc_tools.serve.application import app
    from nmc_tools.serve.counters import Metrics

    metrics = Metrics()
    family = _checked_family(package)
    if is_document := not is_address(package) and is_document_name(package):
        served = [str(Path(package).absolute().parent)]  # and the packages that it names
    else:
        served = [] if is_address(package) else [package]
    # Of weights that say nothing of what they are, nobody draws a picture.
    nothing_to_see = is_document or (family == "unknown" and not render)
    renders = not nothing_to_see and _renders(package, render)
    application = app(served, render=renders, metrics=metrics)
    listening = bound(host, port)
    address = page_address(
        url_of(listening), package, frame=frame, play=play, keys=_keys(key or []), render=renders
    )
    started = partial(
        tell_listening,
        address,
        "the player is at",
        as_json=as_json,
        browser=browser and not as_json,
    )
    Running(application, metrics, Limits()).run(listening, started)


def _is_there(package: Path) -> bool:
    """Whether a package is there, or the folder in which it is made."""
    return package.exists() or (package.with_name(package.name + SUFFIX) / JOURNAL_NAME).exists()


def _checked_family(package: str) -> str | None:
    """Return the model family of a package of this machine, None where it is not known yet.

    What no page could show is refused: a file that is no package, or whose manifest is refused.
    """
    from nmc_tools.adaptive.opening import is_document_name, read_document
    from nmc_tools.player.address import is_address
    from nmc_tools.serve.facts import read_facts

    path = Path(package)
    if is_address(package) or (path.is_dir() and (path / JOURNAL_NAME).exists()):
        return None
    if is_document_name(package):
        read_document(package, {})
    elif path.exists():
        return str(read_facts(path).listed["family"])
    return None


def _renders(package: str, asked: bool | None) -> bool:
    """Return whether pictures are rendered here; torch is loaded when the first is asked for."""
    from importlib.util import find_spec

    from nmc_tools.player.address import is_address

    if is_address(package):
        if asked:
            raise typer.BadParameter(
                "only a package of this machine is rendered here", param_hint="--render"
            )
        return False
    if asked and find_spec("torch") is None:
        refuse_input(
            "input/unsupported",
            "nmc view",
            "it needs torch",
            "pip install 'neural-model-chain[framework]'",
        )
    return asked is not False and find_spec("torch") is not None


def _keys(files: list[Path]) -> list[str]:
    """Return the public keys of files, in base 16; the page asks for each of them."""
    if not files:
        return []
    from nmc.reading.keys import read_public_keys

    found = []
    for path in files:
        keys = read_public_keys(path)
        if len(keys) != 1:
            raise typer.BadParameter(
                f"{path.name} holds {len(keys)} keys; give one of them in a file of its own",
                param_hint="--key",
            )
        found.append(keys[0].key.hex())
    return found
