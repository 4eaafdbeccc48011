"""How ``nmc train`` has groups of frames trained by themselves: in turn here, or shared out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_tools.terminal import note

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor
    from nmc_framework.distributed.groups import Begun, GroupJob
    from nmc_framework.distributed.on_ray import RayCluster
    from nmc_framework.training import Store, TrainedFrame
    from nmc_tools.commands.chain_run import Run


@dataclass(frozen=True, eq=False)
class Sharing:
    """Groups of ``key_every`` frames, from random weights of ``seed``, on a cluster or here.

    What has come back and is not in the chain yet lies in a folder beside the output, from which
    ``resume`` goes on.
    """

    cluster: RayCluster | None
    key_every: int
    seed: int
    device: str
    resume: bool

    def firsts(self, count: int) -> list[int]:
        """Return the numbers of the key frames of a chain of ``count`` frames."""
        return list(range(0, count, self.key_every))

    def frames(self, run: Run, store: Store) -> Iterator[TrainedFrame]:
        """Train what the store does not have, and yield each frame once it is there."""
        from nmc_framework.distributed import GroupJob, train_shared
        from nmc_framework.distributed.sharing import Spool

        folder = spool_of(run.output)
        if not self.resume:
            shutil.rmtree(folder, ignore_errors=True)

        def job(first: int, end: int, begun: Begun | None) -> GroupJob:
            model = run.model
            return GroupJob(
                first=first,
                family=model.family,
                configuration=model.configuration,
                seed=self.seed,
                schedule=run.schedule,
                material=run.material(first, end),
                device=self.device,
                begun=begun,
            )

        for frame in train_shared(
            self._executor(),
            self.firsts(run.count),
            run.count,
            job,
            Spool(folder, run.model),
            done=len(store),
            tell=note,
        ):
            store.append(frame)
            run.model.load(frame.state)
            yield frame

    def _executor(self) -> Executor:
        from nmc_framework.distributed import LocalExecutor

        if self.cluster is None:
            return LocalExecutor()
        from nmc_framework.distributed.on_ray import RayExecutor

        return RayExecutor(self.cluster)


def spool_of(output: Path) -> Path:
    """Return the folder of frames that are finished and not in the chain yet."""
    return output.with_name(f"{output.name}.groups")
