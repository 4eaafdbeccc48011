"""Tensors that were pickled as they are, without ``torch.save``: StyleGAN2's networks are.

The storage of such a tensor is the argument of ``torch.storage._load_from_bytes``: the bytes of a
file of its own, in PyTorch's form before 1.6. Modules of stylegan2-ada-pytorch stand in the
argument of ``torch_utils.persistence._reconstruct_persistent_obj``, with the source text of their
class, which is passed over.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints import pickles
from nmc_tools.checkpoints.checkpoint import Refusal
from nmc_tools.checkpoints.pickle_values import Object
from nmc_tools.checkpoints.torch_runs import LEGACY_MAGIC, LEGACY_PROTOCOL, Window, read_runs
from nmc_tools.checkpoints.torch_tensors import Storage, builders, itemsize, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc_tools.checkpoints.bounded_zip import Bytes
    from nmc_tools.checkpoints.budget import Budget


class DumpedStorages:
    """The storages that a pickle holds as bytes.

    Attributes
    ----------
    runs : dict of str to Bytes
        Their elements, by the keys of the storages that `builders` build.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.runs: dict[str, Bytes] = {}

    @property
    def builders(self) -> Mapping[str, Callable[..., Any]]:
        """What the names in such a pickle build."""
        return {
            "torch.storage._load_from_bytes": self._storage,
            "torch_utils.persistence._reconstruct_persistent_obj": _module,
        }

    def read(self, storage: Storage) -> Bytes:
        """Return the bytes of a storage.

        Raises
        ------
        Refusal
            If there is none of its key, or it is shorter than it says.
        """
        size = itemsize(storage.dtype)
        run = self.runs.get(storage.key)
        end = (storage.first + storage.count) * size
        if run is None or end > len(run):
            raise Refusal("a storage is missing, or shorter than its tensors")
        return run[storage.first * size : end]

    def _storage(self, data: Any) -> Storage:
        """Return the one storage of a file within the pickle."""
        if not isinstance(data, bytes):
            raise Refusal("its pickle has a storage that is not made of bytes")
        self.budget.spend(2 * len(data))
        file = io.BytesIO(data)
        window = Window(file, len(data))
        known = builders(self.budget)
        head = [pickles.load(window, known, storage_of, self.budget) for _ in range(5)]
        found = head[3]
        if head[:2] != [LEGACY_MAGIC, LEGACY_PROTOCOL] or not isinstance(found, Storage):
            raise Refusal("its pickle has a storage in a form that is not PyTorch's before 1.6")
        if head[4] != [found.key]:
            raise Refusal("its pickle has a storage that lists others beside it")
        runs = read_runs(file, len(data), [found], {found.key})
        key = f"{len(self.runs)}/{found.key}"
        self.runs[key] = runs[found.key]
        return Storage(key, found.dtype, found.count, found.first)


def _module(meta: Any) -> Object:
    """Return a persistent object by its attributes; its source text is not looked at."""
    told = meta if isinstance(meta, dict) else meta.items if isinstance(meta, Object) else {}
    name = told.get("class_name")
    kind = name if isinstance(name, str) else "persistent object"
    return Object(kind[:64], (), state=told.get("state"))
