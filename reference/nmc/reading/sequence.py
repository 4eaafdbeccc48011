"""Packages as sequences of states (clause 7.1): random access, verified results."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from nmc.coding.decode import check_segment
from nmc.coding.state import State, arrays_of
from nmc.reading.frames import Arrays, FrameRecords, SequenceSlice
from nmc.reading.manifest import DEFAULT_MAX_LEVEL
from nmc.reading.media import MediaOf, Medium
from nmc.reading.origin import Origin, reopened
from nmc.reading.parts import present_rows
from nmc.reading.plain_package import PlainPackage, plain_manifest
from nmc.reading.seek import Seeker
from nmc_format.manifest.json_object import parse_object

if TYPE_CHECKING:
    from types import TracebackType

    from nmc_format.dtypes import Array, Dtype
    from nmc_format.encryption import SegmentCipher
    from nmc_format.manifest.frame_table import Colour
    from nmc_format.manifest.record import Cameras, Manifest, Quality
    from nmc_format.package.members import Package
    from nmc_format.signature import Signature


class ChainSequence(Sequence[Arrays]):
    """The states of a package, decoded on demand.

    ``sequence[t]`` costs the last key frame and the deltas after it, or only those after the state
    that was decoded last. Arrays are read-only and share the memory of what did not change.

    Threads may share a sequence; they decode one after the other. One frame is decoded in several
    threads where ``nmc.open`` was told how many. Forked processes may, too, and each goes on alone.
    A pickle opens the package again by its absolute path, refuses another one that lies there now,
    and has the key of an encrypted one.

    Attributes
    ----------
    manifest : Manifest
        The manifest.
    frames : FrameRecords
        What the manifest says of each frame.
    stop : int
        Which state of each frame is returned: 0 is the base (clause 12.7). ValueError for no such.
    signatures : tuple of Signature
        The signatures, each verified; empty where none was demanded.
    cipher : SegmentCipher or None
        By the key of its segments (clause 14), which ``stored`` has encrypted.
    """

    def __init__(
        self,
        package: Package,
        manifest: Manifest,
        *,
        max_level: int = DEFAULT_MAX_LEVEL,
        verify: bool = True,
        stop: int | None = None,
        origin: Origin | None = None,
        threads: int = 1,
        signatures: tuple[Signature, ...] = (),
        cipher: SegmentCipher | None = None,
    ) -> None:
        if operator.index(threads) < 1:
            raise ValueError(f"{threads} threads; at least one is needed")
        if stop is not None and not 0 <= operator.index(stop) < manifest.stops:
            raise ValueError(
                f"stop {stop} of {str(package.path)!r}: its frames have "
                + (f"0 to {manifest.stops - 1}" if manifest.stops > 1 else "no refinement")
            )
        self.stop = manifest.stops - 1 if stop is None else operator.index(stop)
        self.stored = self._package = package
        self.cipher = cipher
        self._plain = plain_manifest(manifest)
        if manifest.root.is_encrypted:
            self._package = PlainPackage(package, manifest, cipher)
        self._origin = origin or Origin(package.path, cipher=cipher)
        if isinstance(package.path, Path):
            path = str(package.path.absolute())  # the working directory may change
            self._origin = Origin(path, cipher=cipher)
        self._max_level = max_level
        self._verify = verify
        self._threads = threads
        self._seekers: dict[int, Seeker] = {}
        self._closed = False
        self.manifest = manifest
        self.signatures = signatures
        self.frames = FrameRecords(manifest)

    @property
    def _seeker(self) -> Seeker:
        """The seeker of this process: a fork may have come while a thread held that of the parent.

        Raises
        ------
        ValueError
            If the sequence was closed.
        """
        self._check_open()
        process = os.getpid()
        if process not in self._seekers:
            fresh = Seeker(
                self._package,
                self._plain,
                verify=self._verify,
                stop=self.stop,
                threads=self._threads,
            )
            self._seekers.setdefault(process, fresh)  # of two threads, both get the first one's
            for other in set(self._seekers) - {process}:
                self._seekers.pop(other, None)
        return self._seekers[process]

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the sequence {str(self.path)!r} is closed; open it again")

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Rebuild by opening the package again, in another process or as a copy."""
        self._check_open()
        digest = self.manifest.root.manifest_digest
        options = (self._max_level, self._verify, self.stop, self._threads)
        return reopened, (self._origin, *options, digest, self.signatures)

    @property
    def path(self) -> Path | str:
        """Where the package lies; if not on this host, its address as it may be printed."""
        return self._package.path

    @property
    def stops(self) -> int:
        """How many states each frame has: one for the base, and for each refinement."""
        return self.manifest.stops

    @property
    def size(self) -> int:
        """Bytes of the package on disk."""
        return self._package.size()

    @property
    def family(self) -> str:
        """Name of the model family."""
        return self.manifest.model.family

    @property
    def configuration(self) -> Any:
        """Configuration of the model, as JSON says it."""
        return parse_object(self.manifest.model.configuration)

    @property
    def colour(self) -> Colour | None:
        """Exposure and white balance of the training views; None where nothing was recorded."""
        return self.manifest.training.colour

    @property
    def cameras(self) -> Cameras | None:
        """The cameras (clause 5.6); None where nothing was recorded."""
        return self.manifest.cameras

    @property
    def media(self) -> Mapping[str, Medium]:
        """The media (clause 16) by name; their bytes are verified before they are given."""
        return MediaOf(self.stored, self.manifest)

    @property
    def quality(self) -> Quality | None:
        """The quality record (clause 5.7); None where nothing was recorded."""
        return self.manifest.quality

    def __len__(self) -> int:
        return len(self.manifest)

    @overload
    def __getitem__(self, index: int) -> Arrays: ...
    @overload
    def __getitem__(self, index: slice) -> SequenceSlice: ...
    def __getitem__(self, index: int | slice) -> Arrays | SequenceSlice:
        if isinstance(index, slice):
            return SequenceSlice(self, range(*index.indices(len(self))))
        return arrays_of(self.state(range(len(self))[index]), self.manifest.tensors)

    def __iter__(self) -> Iterator[Arrays]:
        return (self[t] for t in range(len(self)))

    def torch(self, index: int, *, device: Any = None, copy: bool = True) -> dict[str, Any]:
        """Return a state as torch tensors of the same types, bfloat16 and 8-bit floats included.

        Parameters
        ----------
        index : int
            The frame.
        device : torch.device or str or None
            Where the tensors are to lie; None: on the CPU.
        copy : bool
            True: the tensors are the caller's, to train on or write to. False: on the CPU, they
            share the memory of the sequence: for ``load_state_dict`` and reading only. torch has no
            read-only tensors; these are made in inference mode, so that it raises RuntimeError
            where they are trained on or changed in place (``.data``, ``.detach()`` and
            ``.numpy()`` escape that). It raises after it has written, so the next access compares
            the memory with its digest, and decodes again what is no longer right.

        Returns
        -------
        dict of str to torch.Tensor
            By name, shapes as in the package; packed arrays as flat ``torch.uint8``.

        Raises
        ------
        ImportError
            If torch is not installed.
        """
        from nmc.reading.torch_view import as_torch, copied

        t = range(len(self))[operator.index(index)]
        arrays = arrays_of(self._seeker.state(t, lend=not copy), self.manifest.tensors)
        if copy:
            return {name: copied(array, device) for name, array in arrays.items()}
        tensors = {name: as_torch(array) for name, array in arrays.items()}
        if device is None:
            return tensors
        return {name: tensor.to(device) for name, tensor in tensors.items()}

    def state(self, index: int, *, names: Collection[str] | None = None) -> State:
        """Decode one frame, 0 ≤ index < len; see :class:`nmc.coding.state.Tensor`.

        Parameters
        ----------
        index : int
            The frame.
        names : collection of str or None
            Tensors that are wanted, by name; None: all. What their coding and their digests do not
            take is neither read nor decoded.

        Raises
        ------
        KeyError
            If a tensor is not in the frame.
        """
        if names is None:
            return self._seeker.state(index)
        wanted = set(names)
        rows = [i for i, row in enumerate(self.manifest.tensors) if row.name in wanted]
        found = self._seeker.tensors(index, rows)
        known = {self.manifest.tensors[row].name for row in found}
        if missing := [name for name in names if name not in known]:
            raise KeyError(missing[0])
        return found

    def names(self, index: int) -> list[str]:
        """Return the names of the tensors of a frame, in the order of the tensor table."""
        return list(self.outlines(index))

    def outlines(self, index: int) -> dict[str, tuple[Dtype, tuple[int, ...]]]:
        """Return element type and shape of each tensor of a frame, by name and in that order.

        Only the modes of its segment are read. A negative index counts from the end.
        """
        self._check_open()
        t = range(len(self))[operator.index(index)]
        rows = map(self.manifest.tensors.__getitem__, present_rows(self._package, self._plain, t))
        return {row.name: (row.dtype, row.shape) for row in rows}

    def tensor(self, index: int, name: str) -> Array:
        """Return one tensor of a frame, verified as a whole state is.

        It costs what codes this tensor, from the last key frame on: its own bytes where a frame is
        not entropy coded; of zstd, the stream up to its last byte, which is not kept; its own
        chunks or live cells of what effort *fast* made, or any effort where few words changed; of
        *strong*, the portions that it lies in, of 524,288 words each, where a frame has 4 million
        words or more; else, and of *max*, the tensors up to it, and all of the frames before. Its
        digest is compared through that of the state; where segments store no tensor digests (clause
        6.2.5), the other tensors are decoded for it, too.

        Parameters
        ----------
        index : int
            The frame; negative ones count from the end.
        name : str
            The tensor.

        Returns
        -------
        numpy.ndarray or PackedArray
            Read-only.

        Raises
        ------
        KeyError
            If it is not in that frame.
        """
        t = range(len(self))[operator.index(index)]
        (tensor,) = self.state(t, names=(name,)).values()
        return tensor.array()

    def states(self, index: int) -> list[State]:
        """Decode one frame at each stop up to that of the sequence, 0 ≤ index < len."""
        return self._seeker.states(index)

    def declared_errors(self, index: int) -> dict[str, float]:
        """Return the declared error of each quantised tensor of a frame (clause 12.6).

        Parameters
        ----------
        index : int
            The frame, 0 ≤ index < len.

        Returns
        -------
        dict of str to float
            By name, in the order of the tensor table: no element is farther from that of the
            original. A tensor that is not there kept every bit.
        """
        state, rows = self.state(index), self.manifest.tensors
        return {rows[i].name: t.quantised.bound for i, t in state.items() if t.quantised}

    def coded(self, index: int) -> bytes:
        """Return the segment of one frame, 0 ≤ index < len; of an encrypted one its plain bytes.

        Raises
        ------
        FormatError
            If it is not the one that the manifest describes.
        """
        self._check_open()
        frame = self.frames[index]
        data = self.stored.segment(frame.index, frame.segment_length)
        check_segment(frame, data)
        if not self.manifest.root.is_encrypted:
            return data
        return self._package.segment(frame.index, frame.segment_length)

    def apart(self, *, threads: int | None = None) -> ChainSequence:
        """Return a sequence over the same package that decodes by itself, for another thread.

        Threads that share one sequence wait for each other; groups of frames can be decoded at the
        same time by sequences apart. Closing it does not close this one, which has to stay open.

        Parameters
        ----------
        threads : int or None
            Threads within each of its frames; None: as many as this one has.
        """
        self._check_open()
        return _Apart(
            self.stored,
            self.manifest,
            max_level=self._max_level,
            verify=self._verify,
            stop=self.stop,
            origin=self._origin,
            threads=self._threads if threads is None else threads,
            cipher=self.cipher,
        )

    def detached(self) -> Package:
        """Return what is stored, which the caller closes; nothing is decoded here any more."""
        self._check_open()
        self._closed = True
        self._seekers.clear()
        return self.stored

    def close(self) -> None:
        """Release the files and the memory; what the manifest says can still be asked for."""
        self._closed = True
        self._seekers.clear()
        self._package.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        manifest = self.manifest
        return (
            f"<nmc {str(self.path)!r}: {len(self)} frames, {len(manifest.tensors)} tensors, "
            f"{manifest.profile} profile, level {manifest.level}{', closed' * self._closed}>"
        )


class _Apart(ChainSequence):
    """A sequence over a package that another one has opened, and closes."""

    def close(self) -> None:
        self._closed = True
        self._seekers.clear()
