"""Workers on a Ray cluster: an actor per GPU or per group of cores, replaced when it dies.

Nodes and driver see the folder under the same name, as on a shared file system. Results are files,
so nothing of them passes through Ray's object store.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from molgen.bulk.run import Outcome, Work
from molgen.bulk.shards import Shard
from molgen.errors import MolgenError, UsageError


@dataclass(frozen=True)
class RayEngine:
    """The engine ``ray``.

    Attributes:
        address: Of the cluster; None for one on this machine.
        n: Actors; None for one per GPU, or per core where there is none.
        cores: Of each actor.
    """

    address: str | None = None
    n: int | None = None
    cores: int = 1

    def __post_init__(self) -> None:
        """Reject what cannot work here.

        Raises:
            UsageError: Ray is not installed.
        """
        if find_spec("ray") is None:
            raise UsageError("--engine ray needs Ray", 'Type: pip install "molgen[ray]"')

    def __call__(self, work: Work, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
        """Have shards made; outcomes as they come."""
        ray = self._connected()
        maker = self._maker(ray)
        todo, running = deque(shards), dict[Any, tuple[Any, Shard]]()
        idle = [maker.remote(work) for _ in range(min(self._n_actors(ray), len(shards)))]
        while todo or running:
            while idle and todo:
                actor, shard = idle.pop(), todo.popleft()
                running[actor.make.remote(shard)] = actor, shard
            (done,), _ = ray.wait(list(running), num_returns=1)
            actor, shard = running.pop(done)
            outcome = _outcome(ray, done)
            idle.append(maker.remote(work) if outcome is Outcome.DIED else actor)
            yield shard, outcome
        for actor in idle:
            ray.kill(actor)

    def _connected(self) -> Any:
        import ray  # noqa: PLC0415 - of an extra

        if not ray.is_initialized():
            try:
                # "local": unset, Ray would join a cluster that somebody else runs on this machine.
                where = self.address or "local"
                ray.init(where, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:120]
                raise UsageError(
                    f"no Ray cluster at {self.address} ({reason})", "Start one: ray start --head"
                ) from None
        return ray

    def _n_actors(self, ray: Any) -> int:
        found = ray.cluster_resources()
        usual = int(found.get("GPU", 0)) or int(found.get("CPU", 1)) // self.cores
        return max(1, self.n or usual)

    def _maker(self, ray: Any) -> Any:
        on_gpu = bool(ray.cluster_resources().get("GPU", 0))
        environment = {"OMP_NUM_THREADS": str(self.cores), "OMP_WAIT_POLICY": "PASSIVE"}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return ray.remote(
            num_cpus=self.cores,
            num_gpus=int(on_gpu),
            max_restarts=0,
            runtime_env={"env_vars": environment},
        )(_Maker)


class _Maker:
    """What an actor holds: a job, whose model stays loaded."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def make(self, shard: Shard) -> Outcome:
        """Make a shard."""
        return self.work(shard)


def _outcome(ray: Any, done: Any) -> Outcome:
    """What a call answers.

    Raises:
        MolgenError: The shard cannot be made, nor could another.
    """
    try:
        answer: Outcome = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MolgenError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError:
        return Outcome.DIED
    return answer
