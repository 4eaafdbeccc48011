"""``nmc keygen``, ``nmc sign`` and ``nmc verify``: keys, and who vouches for a package (13)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc.reading.check import verified
from nmc.reading.keys import PublicKey, read_public_keys
from nmc.reading.private_files import is_exposed
from nmc.reading.secret_keys import SecretKey
from nmc.writing.private_keys import PrivateKey
from nmc.writing.signing import sign as sign_package
from nmc.writing.signing import signing_key, unsign
from nmc_format.issues import first_error
from nmc_tools.commands.shared_options import ForceOption, JobsOption, JsonOption, PackagePath
from nmc_tools.terminal import (
    Exit,
    counted,
    note,
    print_finding,
    print_json,
    progress_bar,
    say,
    warn,
)

if TYPE_CHECKING:
    from nmc_format.signature import Signature

PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="First line of this file is the passphrase of the key. Without it NMC_PASSPHRASE is "
        "taken, or you are asked.",
    ),
]
_ENVIRONMENT = "NMC_PASSPHRASE"


def keygen(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The private key, by default nmc_ed25519; .pub goes beside it. With --symmetric "
            "the secret key, by default nmc_aes.key.",
        ),
    ] = None,
    symmetric: Annotated[
        bool,
        typer.Option("--symmetric", help="A key to encrypt with; there is no public one then."),
    ] = False,
    comment: Annotated[
        str | None, typer.Option(help="Whose key it is; by default user@host.")
    ] = None,
    passphrase_file: PassphraseOption = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Do not ask for one: the key is not encrypted.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Make a key to sign packages with, in files as OpenSSH writes them; or one to encrypt with.

    The private key is for you alone. Others verify with the public one, FILE.pub. Keys of
    'ssh-keygen -t ed25519' are as good.

    Examples
    --------
      nmc keygen -o studio

      nmc keygen -o studio --no-passphrase --comment studio@example.org

      nmc keygen --symmetric -o scene.key    (for nmc encrypt, and who may decrypt)
    """
    if symmetric:
        if comment is not None or passphrase_file is not None:
            raise typer.BadParameter(
                "it goes with neither --comment nor --passphrase-file", param_hint="--symmetric"
            )
        _secret(output or Path("nmc_aes.key"), force=force)
        return
    output = output or Path("nmc_ed25519")
    passphrase = None if no_passphrase else _new_passphrase(passphrase_file)
    key = PrivateKey.generate(comment)
    public = key.write(output, passphrase=passphrase, overwrite=force)
    say(f"{output}: private key, {'encrypted' if passphrase else 'not encrypted'}; keep it")
    say(f"{public}: public key {key.public}; give it to those who verify")


def _secret(path: Path, *, force: bool) -> None:
    key = SecretKey.generate()
    key.write(path, overwrite=force)
    say(f"{path}: secret key of digest {key.digest.hex()}; give it to those who may decrypt")


def sign(
    package: PackagePath,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            "-k",
            help="Your private key, as nmc keygen makes it; or the public one of a key that "
            "ssh-agent has.",
        ),
    ] = None,
    signer: Annotated[
        str | None, typer.Option(help="Who signs, for people; by default the comment of the key.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Leave out the signatures that are there.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take all signatures out, and sign nothing.")
    ] = False,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every frame before; else compare digests only.")
    ] = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Sign a package in its place; others can sign it too.

    The package is checked before, and the signature is read back and verified. States, segments and
    manifest stay as they are.

    Examples
    --------
      nmc sign scene.nmc --key studio

      nmc sign scene.nmc --key ~/.ssh/id_ed25519 --signer 'Studio 4, night shift'

      nmc sign scene.nmc --key ~/.ssh/id_ed25519.pub    (the private key is in ssh-agent)
    """
    if remove:
        if key is not None or signer is not None or fresh:
            raise typer.BadParameter("it goes with no other option", param_hint="--remove")
        say(f"{package}: {counted(unsign(package), 'signature')} taken out")
        return
    if key is None:
        raise typer.BadParameter(
            "give your private key; 'nmc keygen' makes one", param_hint="--key"
        )
    private = signing_key(key, lambda: _passphrase(passphrase_file, str(key)))
    if isinstance(private, PrivateKey) and is_exposed(key):
        warn(f"others than you may read the private key {key}; chmod 600 {key}")
    try:
        with progress_bar(f"checking {package.name}") as progress:
            made = sign_package(
                package, private, signer=signer, fresh=fresh, decode=decode, progress=progress
            )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--signer") from None
    say(f"{package}: signed by {private.public.fingerprint} ({made.statement.signer or 'no name'})")


def verify(
    package: PackagePath,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            "-k",
            help="A public key that has to have signed: .pub, authorized_keys or allowed_signers. "
            "Of a file of several, one is enough. Of several options, each has to be met.",
        ),
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every frame, too.")] = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify who signed a package, and that not a bit of it was changed since.

    Every segment is read and compared. Exit code 0: each key has signed, and all is as it was
    signed. Exit code 1: not so, or no key was given, so that whoever signed is not known.

    Examples
    --------
      nmc verify scene.nmc --key studio.pub

      nmc verify scene.nmc --key studio.pub --key archive.pub

      nmc verify scene.nmc --key allowed_signers --json | jq '.signatures[].signer'
    """
    keys = [Path(path) for path in key or []]
    known = {public.key: public for path in keys for public in read_public_keys(path)}
    with progress_bar(f"verifying {package.name}") as progress:
        report, signatures = verified(
            package, keys, decode=decode, max_level=4, threads=jobs, progress=progress
        )
    unknown = not keys
    unverified = any(found.code == "host/not-verified" for found in report.findings)
    holds = report.accepted and not unknown and not unverified
    if as_json:
        made = [_signature_json(signature, known) for signature in signatures]
        print_json({"verified": holds, "signatures": made, "report": report.to_json()})
    else:
        for found in report.findings:
            print_finding(found)
        for signature in signatures:
            say(f"{package}: {_line(signature, known)}")
        if unknown and first_error(report.findings) is None:
            note("no key was given: a signature alone says nothing of who made it; give --key")
        said = "verified" if holds else "NOT verified"
        hold = "holds" if len(signatures) == 1 else "hold"
        say(f"{package}: {said}, {counted(len(signatures), 'signature')} {hold}")
    if not holds:
        raise typer.Exit(Exit.REFUSED)


def _line(signature: Signature, known: dict[bytes, PublicKey]) -> str:
    said = signature.statement
    public = known.get(signature.key)
    who = str(public) if public else f"{PublicKey(signature.key).fingerprint}, a key not given"
    return f"signed by {who}, who says: {said.signer or 'nothing'}, {said.time}"


def _signature_json(signature: Signature, known: dict[bytes, PublicKey]) -> dict[str, Any]:
    said = signature.statement
    public = known.get(signature.key, PublicKey(signature.key))
    return {
        "key": signature.key.hex(),
        "fingerprint": public.fingerprint,
        "name": public.name,
        "demanded": signature.key in known,
        "signer": said.signer,
        "time": said.time,
        "manifest_digest": said.manifest_digest.hex(),
    }


def _given(path: Path | None) -> str | None:
    """Return a passphrase from a file or the environment; None where neither has one."""
    if path is None:
        return os.environ.get(_ENVIRONMENT)
    from nmc_format.host import host_refusal

    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError as error:
        raise host_refusal(error, path) from None
    except UnicodeDecodeError:
        raise typer.BadParameter("it is not text", param_hint="--passphrase-file") from None


def _passphrase(path: Path | None, name: str) -> str | None:
    given = _given(path)
    if given is not None or not sys.stdin.isatty():
        return given
    asked: str = typer.prompt(f"passphrase of {name}", hide_input=True, err=True)
    return asked


def _new_passphrase(path: Path | None) -> str | None:
    given = _given(path)
    if given is not None:
        return given or None
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "nobody can be asked for a passphrase here: give --passphrase-file, NMC_PASSPHRASE or "
            "--no-passphrase"
        )
    asked: str = typer.prompt(
        "passphrase, empty for none",
        default="",
        hide_input=True,
        confirmation_prompt=True,
        show_default=False,
        err=True,
    )
    return asked or None
