"""Tasks on a cluster of Ray; one of this machine is started where no address is given.

Ray is the extra ``ray``. What is sent to workers and back are pickles, as always with Ray: connect
to clusters that you trust.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor as FutureExecutor
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_framework.distributed.executor import DistributionError, Done, Event, Item, Lost, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_framework.rendering.parallel import Picture, Run

#: How often a task of :class:`RayPool` may be lost with its worker.
_ATTEMPTS = 3
#: Seconds until an address counts as one that does not answer.
_PATIENCE = 30


class RayCluster:
    """A connection to a cluster; use it as a context.

    Parameters
    ----------
    address
        Such as ``ray://host:10001`` or ``host:6379``; empty: start a cluster of this machine.
    device
        Torch's name of the device that a task takes; with ``cuda`` each has one of its own.
    workers
        Of a cluster that is started here; as many as there are cores where None.

    Raises
    ------
    DistributionError
        When nothing answers at the address, or no node has what a task takes.
    """

    def __init__(
        self, address: str = "", device: str = "cpu", *, workers: int | None = None
    ) -> None:
        import ray

        _require_address(address)
        try:
            ray.init(
                address=address or None,
                num_cpus=None if address else workers,
                log_to_driver=False,
                logging_level="ERROR",
                include_dashboard=None if address else False,
            )
        except Exception as error:  # ray raises what it likes where nothing answers
            raise DistributionError(
                f"no cluster of Ray answers at {address or 'this machine'}: "
                f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; start one "
                "with 'ray start --head', or leave the address out"
            ) from error
        self._gpus = int(device.startswith("cuda"))
        found = ray.cluster_resources()
        self.cpus, self.gpus = int(found.get("CPU", 0)), int(found.get("GPU", 0))
        self.nodes = len([node for node in ray.nodes() if node["Alive"]])
        self.slots = self.gpus if self._gpus else self.cpus
        if not self.slots:
            ray.shutdown()
            raise DistributionError(
                f"the cluster has no {'GPU' if self._gpus else 'CPU'} to work with; give another "
                "--device, or add nodes that have one"
            )

    @property
    def resources(self) -> str:
        """Nodes, processors and accelerators of the cluster."""
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"Ray: {nodes}, {self.cpus} CPUs, {self.gpus} GPUs"

    def remote(self, function: Callable[..., Any], *, streaming: bool = False) -> Any:
        """Return a function whose calls are tasks of the cluster; nothing is tried twice."""
        import ray

        made: Any = ray.remote(max_retries=0, num_cpus=1, num_gpus=self._gpus, max_calls=0)(
            function
        )
        return made.options(num_returns="streaming") if streaming else made

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()


class RayExecutor:
    """Tasks that yield, on a cluster."""

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster = cluster
        self.slots = cluster.slots
        self.resources = cluster.resources
        self._running: dict[int, Any] = {}

    def start(self, task: int, work: Work, job: Any) -> None:
        """Send a task to the cluster."""
        with _connected():
            self._running[task] = self.cluster.remote(work, streaming=True).remote(job)

    def next(self) -> Event:
        """Wait for any of them; see :class:`~nmc_framework.distributed.Executor`."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        with _connected():
            ready, _ = ray.wait(list(self._running.values()), num_returns=1)
        task = next(number for number, each in self._running.items() if each is ready[0])
        try:
            return Item(task, ray.get(next(self._running[task])))
        except StopIteration:
            del self._running[task]
            return Done(task)
        except RayTaskError as error:
            del self._running[task]
            # What the task itself raised, and not that somebody was lost.
            raise error.cause from error
        except RayError as error:
            del self._running[task]
            return Lost(task, type(error).__name__)

    def close(self) -> None:
        """Stop what is not done."""
        import ray

        for each in self._running.values():
            ray.cancel(each, force=True)
        self._running.clear()


class RayPool(FutureExecutor):
    """Runs of images on a cluster, as :func:`~nmc_framework.rendering.render_package` takes it.

    The package goes through the object store once, and lies in a temporary file of each worker.
    """

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._sent: dict[Path, Any] = {}

    def submit(self, function: Any, /, *args: Any, **_: Any) -> Future[Any]:
        """Send a run to the cluster."""
        import ray

        (run,) = args
        with _connected():
            if run.package not in self._sent:
                self._sent[run.package] = ray.put(_content(run.package))
            call = self._cluster.remote(_rendered).remote
            return _Result(partial(call, function, run, self._sent[run.package]))


class _Result(Future[Any]):
    """What a task returns; one that is lost with its worker is begun again.

    That is found out when the result is asked for.
    """

    def __init__(self, begin: Callable[[], Any]) -> None:
        super().__init__()
        self._begin = begin
        self._task = begin()

    def result(self, timeout: float | None = None) -> Any:
        """Return it; what the task itself raised is raised.

        Raises
        ------
        DistributionError
            When it was lost three times, or the cluster is gone.
        """
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        lost = ""
        for _ in range(_ATTEMPTS):
            with _connected():
                if lost:
                    self._task = self._begin()
                try:
                    return ray.get(self._task, timeout=timeout)
                except RayTaskError as error:
                    cause = error.cause
                except GetTimeoutError:
                    raise TimeoutError from None
                except RayError as error:
                    lost = type(error).__name__
                    continue
            raise cause
        raise DistributionError(
            f"a run of images was lost {_ATTEMPTS} times ({lost}); look at the memory of the "
            "workers, and give the command again"
        )

    def cancel(self) -> bool:
        """Stop the task."""
        import ray

        ray.cancel(self._task, force=True)
        return True


@contextmanager
def _connected() -> Iterator[None]:
    """Say in one line that the cluster is gone, where Ray finds that out."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError:
        raise
    except (RayError, ConnectionError) as error:
        told = str(error).partition("\n")[0] or type(error).__name__
        raise DistributionError(
            f"the cluster of Ray is gone ({told}); what is finished is kept where the command can "
            "go on: start the cluster and give the command again"
        ) from error


def _content(package: Path) -> dict[str, bytes]:
    """Return the files of a package by name; of the file form it has none."""
    if package.is_file():
        return {"": package.read_bytes()}
    files = [path for path in sorted(package.rglob("*")) if path.is_file()]
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in files}


#: The room of this process, a worker, for packages; it goes with the process.
_room: list[Any] = []


def _rendered(
    function: Callable[[Run], list[Picture]], run: Run, content: dict[str, bytes]
) -> list[Picture]:
    """Render a run in a worker, from the package that was sent."""
    import torch

    torch.set_num_threads(1)
    if not _room:
        _room.append(tempfile.TemporaryDirectory(prefix="nmc-"))
    digest = hashlib.sha256()
    for name, data in content.items():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    place = Path(_room[0].name) / digest.hexdigest()[:32]
    if not place.exists():
        partial = place.with_suffix(".partial")
        for name, data in content.items():
            path = partial / name if name else partial
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        partial.rename(place)
    return function(replace(run, package=place))


def _require_address(address: str) -> None:
    """Refuse an address at which nothing listens, which Ray would wait minutes for."""
    import socket

    if not address or address == "auto":
        return
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise DistributionError(f"{address!r} is not an address; write such as ray://host:10001")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise DistributionError(
            f"nothing answers at {address}: {error.strerror or error}; start a cluster there with "
            "'ray start --head', or leave the address out"
        ) from error
