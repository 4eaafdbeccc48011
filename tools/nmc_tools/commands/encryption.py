"""``nmc encrypt`` and ``nmc decrypt``: who may decode a package (clause 14)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import nmc
from nmc.reading.private_files import is_exposed
from nmc_tools.commands.media_files import WithoutMediaOption, say_left_out
from nmc_tools.commands.shared_options import (
    DecryptKeyOption,
    DirectoryOption,
    ForceOption,
    OutputPath,
    PackagePath,
)
from nmc_tools.terminal import counted, progress_bar, say, size_text, warn

KeyOption = Annotated[
    Path, typer.Option("--key", "-k", metavar="FILE", help="A key of nmc keygen --symmetric.")
]


def encrypt(
    package: PackagePath,
    output: OutputPath,
    key: KeyOption,
    decrypt_key: DecryptKeyOption = None,
    directory: DirectoryOption = False,
    without_media: WithoutMediaOption = False,
    force: ForceOption = False,
) -> None:
    """Make a package whose segments are encrypted by AES-256-GCM.

    The key stays outside of it. What the manifest says stays readable: names and shapes of tensors,
    times, cameras, quality. Signatures are left out; sign the package that is made. With
    --decrypt-key, one that is encrypted gets another key. Media would not be encrypted: a package
    that carries some is refused, unless they are left out.

    Examples
    --------
      nmc encrypt scene.nmc -o secret.nmc --key scene.key

      nmc encrypt secret.nmc -o other.nmc --key new.key --decrypt-key scene.key

      nmc encrypt film.nmc -o secret.nmc --key scene.key --without-media
    """
    secret = nmc.SecretKey.read(key)
    _warn_of(key)
    if without_media:
        with nmc.open(package, max_level=4) as sequence:
            say_left_out([sequence])
    with progress_bar(f"encrypting to {output.name}") as progress:
        nmc.encrypt(
            package,
            output,
            secret,
            key=decrypt_key,
            directory=directory,
            overwrite=force,
            progress=progress,
            media=not without_media,
        )
    with nmc.open(output, max_level=4, key=secret) as sequence:
        say(
            f"{output}: {counted(len(sequence), 'frame')}, {size_text(sequence.size)}, encrypted "
            f"by the key of digest {secret.digest.hex()}"
        )


def decrypt(
    package: PackagePath,
    output: OutputPath,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", "-k", metavar="FILE", help="Its key; where it is left out, NMC_KEY_FILE."
        ),
    ] = None,
    directory: DirectoryOption = False,
    force: ForceOption = False,
) -> None:
    """Make a package without encryption of an encrypted one; every tag is verified.

    Examples
    --------
      nmc decrypt secret.nmc -o scene.nmc --key scene.key
    """
    if key is not None:
        _warn_of(key)
    with progress_bar(f"decrypting to {output.name}") as progress:
        nmc.decrypt(package, output, key, directory=directory, overwrite=force, progress=progress)
    with nmc.open(output, max_level=4) as sequence:
        say(f"{output}: {counted(len(sequence), 'frame')}, {size_text(sequence.size)}")


def _warn_of(key: Path) -> None:
    if is_exposed(key):
        warn(f"others than you may read the secret key {key}; chmod 600 {key}")
