"""``--on``: work that is shared out, over a cluster or the cores of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.framework import parse_device, refuse_given
from nmc_tools.commands.installation import extra
from nmc_tools.terminal import note

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from nmc_framework.cameras import Camera, Viewpoint
    from nmc_framework.distributed import Executor as TaskExecutor
    from nmc_framework.distributed.on_ray import RayCluster
    from nmc_framework.rendering import Moment
    from nmc_framework.rendering.clips import Shown

_RAY = "ray"
#: Up to so many images for each worker of a cluster, each is a task; longer tracks go in runs.
_SHORT = 4

OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray[://HOST:PORT]",
        help="Share the work out with Ray: over the cluster there, or one of this machine.",
    ),
]


@contextmanager
def cluster_on(on: str | None, device: str = "cpu") -> Iterator[RayCluster | None]:
    """Connect to what ``--on`` names; None where it names nothing.

    With ``ray://HOST:PORT`` Ray's client port is meant (10001 unless it was set), with
    ``ray:HOST:PORT`` the cluster's own (6379), from one of its nodes.
    """
    if on is None:
        yield None
        return
    if on == _RAY:
        address = ""
    elif on.startswith("ray://"):
        address = on
    elif on.startswith("ray:"):
        address = on.removeprefix("ray:")
    else:
        raise typer.BadParameter(
            f"{on!r}; write ray, or such as ray://host:10001", param_hint="--on"
        )
    with extra(_RAY, f"--on {on}"):
        import ray  # noqa: F401 - said here if it is not there
    from nmc_framework.distributed.on_ray import RayCluster

    with RayCluster(address, device) as cluster:
        note(cluster.resources)
        yield cluster


def pool_on(cluster: RayCluster) -> Executor:
    """Return what renders runs of images on a cluster."""
    from nmc_framework.distributed.on_ray import RayPool

    return RayPool(cluster)


def views_on(
    cluster: RayCluster,
    package: Path,
    moments: Sequence[Moment],
    cameras: Sequence[Camera],
    *,
    device: str,
) -> Iterator[list[Any]]:
    """Yield what cameras see of each instant, rendered on a cluster."""
    from nmc_framework.distributed.views import rendered_views

    pool = pool_on(cluster)
    return rendered_views(pool, package, moments, cameras, slots=cluster.slots, device=device)


def clips_on(
    cluster: RayCluster,
    package: Path,
    frames: Sequence[int],
    *,
    size: tuple[int, int] | None = None,
    device: str,
) -> Shown:
    """Yield the pictures of a package of clips, rendered on a cluster."""
    from nmc_framework.distributed.clips import rendered_clips

    pool, slots = pool_on(cluster), cluster.slots
    return rendered_clips(pool, package, frames, slots=slots, size=size, device=device)


def track_on(
    cluster: RayCluster,
    package: Path,
    shown: Sequence[tuple[Moment, Viewpoint]],
    camera: Camera,
    *,
    device: str,
) -> Iterator[Any]:
    """Yield what a user sees along a track; short ones in pictures and tiles, others in runs."""
    from nmc_framework.distributed.views import rendered_track
    from nmc_framework.rendering import render_package

    pool, slots = pool_on(cluster), cluster.slots
    if len(shown) <= _SHORT * slots:
        pairs = [(moment, camera.at(at.camera_to_world())) for moment, at in shown]
        return rendered_track(pool, package, pairs, slots=slots, device=device)
    return render_package(
        package,
        [at for _, at in shown],
        camera,
        [moment.frame for moment, _ in shown],
        times=[moment.time for moment, _ in shown],
        workers=slots,
        devices=[device],
        pool=pool,
    )


def devices_on(on: str | None, device: str) -> tuple[str, str]:
    """Return the device of what is done here, and that of the tasks: a cluster's where there is."""
    if on is None:
        here = parse_device(device)
        return here, here
    return "cpu", parse_device(device, elsewhere=True)


def refuse_beside_on(on: str | None, options: Mapping[str, object]) -> None:
    """Refuse options of this machine, by name, where a cluster does the work."""
    if on is not None:
        refuse_given(options, "the cluster has its own workers and devices: leave it out, or --on")


@contextmanager
def executor_on(on: str | None) -> Iterator[TaskExecutor | None]:
    """Connect to what ``--on`` names, for tasks of any kind; None where it names nothing."""
    with cluster_on(on) as cluster:
        if cluster is None:
            yield None
            return
        from nmc_framework.distributed.on_ray import RayExecutor

        yield RayExecutor(cluster)
