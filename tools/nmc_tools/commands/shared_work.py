"""``--on``: work that is shared out, over a cluster or the cores of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.extras import extra
from nmc_tools.terminal import note

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from nmc_framework.cameras import Camera
    from nmc_framework.distributed import Executor as TaskExecutor
    from nmc_framework.distributed.on_ray import RayCluster
    from nmc_framework.rendering import Moment

_RAY = "ray"

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


@contextmanager
def executor_on(on: str | None) -> Iterator[TaskExecutor | None]:
    """Connect to what ``--on`` names, for tasks of any kind; None where it names nothing."""
    with cluster_on(on) as cluster:
        if cluster is None:
            yield None
            return
        from nmc_framework.distributed.on_ray import RayExecutor

        yield RayExecutor(cluster)
