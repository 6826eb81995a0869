"""The nodes of a Ray cluster: what they have, whether they see the run's files, and what is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from relforge.pipeline.errors import DoesNotFit, RunError
from relforge.pipeline.run.driver import Driver
from relforge.pipeline.run.job import Resources
from relforge.pipeline.run.marks import WAITING
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.ray_fit import Node, check_worker, per_worker
from relforge.pipeline.run.ray_resources import requested_cpus
from relforge.pipeline.store.run_folder import RUNNING, RunFolder

PROBE_SECONDS = 120.0
_LOOK_SECONDS = 10.0
_WAIT_SECONDS = 30.0
"""Nothing ran and nothing was committed for so long: what is waited for is said."""


def alive_nodes() -> list[Node]:
    """The nodes that can run anything: those with CPUs."""
    import ray

    found = []
    for node in ray.nodes():
        total = node["Resources"]
        if node["Alive"] and total.get("CPU", 0.0) > 0:
            found.append(Node(node["NodeID"], node.get("NodeManagerHostname") or node["NodeName"], total))
    return found


class ClusterWatch:
    """Looks at the nodes of a cluster before the first shard and again as they come.

    Args:
        plan, folder: of the run.
        driver: of the run; its id names the probe's file.
        needed: step -> resources.
        notify: told what is waited for.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        driver: Driver,
        needed: Mapping[str, Resources],
        notify: Callable[[str], None],
    ) -> None:
        self._folder, self._driver, self._needed, self._notify = folder, driver, needed, notify
        self._files = shared_files(plan, needed)
        self._probed: set[str] = set()
        self._looked = self._moved = self._fitted = time.monotonic()
        self._state: object = None
        self._said: list[str] = []

    def look(self, now: bool = False) -> None:
        """Probe the nodes that are new, and say what is waited for.

        Raises:
            RunError: a node does not see the run folder or a file.
        """
        if not now and time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        nodes = alive_nodes()
        self._probe([node for node in nodes if node.id not in self._probed])
        self._say_waits(nodes)

    def close(self) -> None:
        """Remove what the watch left in the folder."""
        for path in (self._token_path, WAITING):
            with suppress(OSError, RunError):
                self._folder.storage.delete(path)

    @property
    def _token_path(self) -> str:
        return f"logs/probe-{self._driver.id}.json"

    def _probe(self, nodes: Sequence[Node]) -> None:
        if not nodes:
            return
        self._folder.write_json(self._token_path, {"driver": self._driver.id}, durable=False)
        answers = ask_nodes(nodes, self._folder, self._token_path, self._driver.id, self._files)
        for node, problem in answers:
            if problem:
                raise RunError(
                    f"node {node.name} does not see {problem}; put it where every node sees it (a folder "
                    "that all mount, or object storage), or take the node out of the cluster"
                )
            self._probed.add(node.id)

    def _say_waits(self, nodes: Sequence[Node]) -> None:
        now, waits = time.monotonic(), find_waits(self._needed, nodes)
        running = self._folder.storage.listing(RUNNING)
        state = {name: stat.modified for name, stat in running.items()}
        if state != self._state:  # a shard was begun or ended
            self._state, self._moved = state, now
        if not waits:
            self._fitted = now
            if not running and now - self._moved > _WAIT_SECONDS:
                waits = [f"waits for a place: the cluster's {_cpus(nodes)} CPUs are taken by other work"]
        elif now - self._fitted <= _WAIT_SECONDS:  # other stages may work meanwhile
            waits = []
        if waits != self._said:
            self._said = waits
            for text in waits:
                self._notify(text)
            if waits:
                self._folder.write_json(
                    WAITING, {"driver": self._driver.id, "waits": waits, "since": time.time()}, durable=False
                )
            else:
                self._folder.storage.delete(WAITING)


def find_waits(needed: Mapping[str, Resources], nodes: Sequence[Node]) -> list[str]:
    """One sentence for each step whose workers no node has room for yet."""
    found = []
    for name, need in needed.items():
        amounts = per_worker(need, requested_cpus(need))
        try:
            check_worker(name, amounts, nodes)
        except DoesNotFit:
            short = {
                one: most
                for one, amount in amounts.items()
                if (most := max((node.total.get(one, 0.0) for node in nodes), default=0.0)) < amount
            }
            asked = ", ".join(f"{amounts[one]:g} {one}" for one in short)
            there = ", ".join(f"{most:g} {one}" for one, most in short.items())
            found.append(f"{name} waits for {asked}; the largest node of the cluster has {there}")
    return found


def shared_files(plan: Plan, steps: Iterable[str]) -> list[str]:
    """Local files and folders that every node has to see: those of the stages, and the images."""
    found = [path for name in steps for path in plan.step(name).files]
    found += _folders(plan.job.source.options.get("images"))
    return [path for path in dict.fromkeys(found) if "://" not in path and os.path.exists(path)]


def ask_nodes(
    nodes: Sequence[Node], folder: RunFolder, token_path: str, token: str, files: Sequence[str]
) -> list[tuple[Node, str]]:
    """Nodes, and the first path that each does not see, or an empty text.

    Raises:
        RunError: a node does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=1)(find_unseen)
    requests = [
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
            folder, token_path, token, files
        )
        for node in nodes
    ]
    answers = []
    for node, request in zip(nodes, requests, strict=True):
        try:
            answers.append((node, ray.get(request, timeout=PROBE_SECONDS)))
        except ray.exceptions.GetTimeoutError as error:
            raise RunError(
                f"node {node.name} did not run a task within {PROBE_SECONDS:.0f} s; look at its Ray logs"
            ) from error
        except ray.exceptions.RayError:
            continue  # the node went away; if it comes back it is asked again
    return answers


def find_unseen(folder: RunFolder, token_path: str, token: str, files: Sequence[str]) -> str:
    """The first path that this node does not see, or an empty text."""
    try:
        seen = folder.read_json(token_path)
    except (OSError, RunError):
        seen = None
    if not seen or seen.get("driver") != token:
        return f"the run folder {folder.uri}"
    return next((path for path in files if not os.path.exists(path)), "")


def _folders(images: Any) -> list[str]:
    """The folders that patterns of image files are in."""
    if isinstance(images, Mapping):
        return [folder for value in images.values() for folder in _folders(value)]
    if isinstance(images, list | tuple):
        return [folder for value in images for folder in _folders(value)]
    if not isinstance(images, str):
        return []
    head = images.split("{")[0].split("*")[0]
    return [head if head == images else os.path.dirname(head)]


def _cpus(nodes: Sequence[Node]) -> str:
    return f"{sum(node.total.get('CPU', 0.0) for node in nodes):g}"
