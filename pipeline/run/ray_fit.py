"""Whether a run fits a cluster at all, computed from what its nodes have. Works without Ray.

Actors hold their resources for the whole run. Where the pools of all stages leave no node room for a task,
ingest for instance, the task waits for ever and nothing says so; a stage that asks for what no node has
does the same. Both are found here before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relforge.pipeline.errors import DoesNotFit
from relforge.pipeline.run.job import INGEST, Resources
from relforge.pipeline.run.ray_resources import requested_cpus

_SLACK = 1e-6
Amounts = dict[str, float]
"""Resource (`CPU`, `GPU`, `memory` in bytes, a name of the cluster's own) -> amount."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster.

    Args:
        id: Ray's id of it.
        name: host name or address, for messages.
        total: what it has in all, used or not.
    """

    id: str
    name: str
    total: Mapping[str, float]


def per_worker(need: Resources, cpus: float) -> Amounts:
    """What one task or actor takes."""
    amounts = {"CPU": cpus, "GPU": need.num_gpus, "memory": float(need.memory or 0), **need.custom}
    return {name: amount for name, amount in amounts.items() if amount}


def fit_cluster(needed: Mapping[str, Resources], nodes: Sequence[Node]) -> dict[str, float]:
    """CPUs per task or actor of each step, such that every step gets a place.

    What the config says is kept. A task without `num_cpus` takes 1, or less where the actors may leave less
    than that on every node, however Ray places them.

    Args:
        needed: step -> resources.
        nodes: of the cluster.

    Raises:
        DoesNotFit: a step, or the actors of all stages together, ask for more than there is.
    """
    cpus = {name: requested_cpus(need) for name, need in needed.items()}
    for name, need in needed.items():
        check_worker(
            name, per_worker(need, cpus[name] if need.num_cpus is not None or need.pool else 0), nodes
        )
    free = [dict(node.total) for node in nodes]
    pools = {name: need.pool for name, need in needed.items() if need.pool}
    actors = [name for name, (smallest, _) in pools.items() for _ in range(smallest)]
    for name in sorted(actors, key=lambda one: (-needed[one].num_gpus, -cpus[one])):
        if not _take(per_worker(needed[name], cpus[name]), free):
            raise DoesNotFit(
                f"the actors of all stages together ({_counts(pools)}) do not fit the cluster "
                f"({describe(nodes)}): no room is left for one of {name!r}; lower stages.*.resources.actors "
                "or num_cpus, or add a node"
            )
    tasks = {name: need for name, need in needed.items() if name not in pools}
    left = max((one.get("CPU", 0.0) for one in free), default=0.0)
    for name, need in tasks.items():
        if need.num_cpus is not None and not _fits(per_worker(need, need.num_cpus), free):
            raise DoesNotFit(
                f"{_field(name)} asks for {need.num_cpus:g} CPUs a task, and the actors of the other stages "
                f"({_counts(pools)}) leave at most {left:g} on a node of the cluster ({describe(nodes)}); "
                f"lower one of them"
            )
    if tasks and left <= _SLACK:
        raise DoesNotFit(
            f"the actors of the stages ({_counts(pools)}) take every CPU of the cluster ({describe(nodes)}), "
            f"so {', '.join(map(repr, tasks))} would wait for ever; lower stages.*.resources.actors or "
            "num_cpus"
        )
    share = _certain_share(needed, pools, cpus, nodes)
    return {
        name: min(cpus[name], share) if name in tasks and needed[name].num_cpus is None else cpus[name]
        for name in needed
    }


def check_worker(name: str, amounts: Mapping[str, float], nodes: Sequence[Node]) -> None:
    """Whether one worker of a step fits a node that is otherwise empty.

    Raises:
        DoesNotFit: it does not, with what the nodes have.
    """
    if any(_fits(amounts, [node.total]) for node in nodes):
        return
    most = {one: max((node.total.get(one, 0.0) for node in nodes), default=0.0) for one in amounts}
    short = [one for one in amounts if amounts[one] > most[one] + _SLACK] or list(amounts)
    asked = " and ".join(_amount(one, amounts[one]) for one in short)
    there = " and ".join(_amount(one, most[one]) for one in short)
    raise DoesNotFit(
        f"{_field(name)} asks for {asked} per worker, and a node of the cluster has at most {there} "
        f"({describe(nodes)}); lower it or start a node that has it, and where the cluster starts nodes on "
        "demand set run.autoscaling=true"
    )


def describe(nodes: Sequence[Node]) -> str:
    """`2 nodes: a with 4 CPUs, b with 8 CPUs, 1 GPU`."""
    shown = [f"{node.name} with {_has(node)}" for node in nodes[:4]]
    more = [f"{len(nodes) - 4} more"] if len(nodes) > 4 else []
    return f"{len(nodes)} node{'s' * (len(nodes) != 1)}: {'; '.join(shown + more)}"


def _certain_share(
    needed: Mapping[str, Resources],
    pools: Mapping[str, tuple[int, int]],
    cpus: Mapping[str, float],
    nodes: Sequence[Node],
) -> float:
    """CPUs that some node has left wherever the actors are: the mean over the nodes of what they leave."""
    total = sum(node.total.get("CPU", 0.0) for node in nodes)
    held = [sum(cpus[name] * size[which] for name, size in pools.items()) for which in (1, 0)]
    left = next((total - one for one in held if one < total - _SLACK), 0.0)  # at their largest, else smallest
    return max(1, int(left / max(1, len(nodes)) * 10_000)) / 10_000  # Ray counts in ten-thousandths


def _take(amounts: Mapping[str, float], free: list[Amounts]) -> bool:
    """Take amounts from the fullest node that has them."""
    fitting = [one for one in free if _fits(amounts, [one])]
    if not fitting:
        return False
    chosen = min(fitting, key=lambda one: (one.get("GPU", 0.0), one.get("CPU", 0.0)))
    for name, amount in amounts.items():
        chosen[name] = chosen.get(name, 0.0) - amount
    return True


def _fits(amounts: Mapping[str, float], places: Sequence[Mapping[str, float]]) -> bool:
    return any(
        all(place.get(name, 0.0) >= amount - _SLACK for name, amount in amounts.items()) for place in places
    )


def _field(name: str) -> str:
    return "ingest (dataset.resources)" if name == INGEST else f"stage {name!r} (stages.{name}.resources)"


def _counts(pools: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{size[0]} of {name!r}" for name, size in pools.items())


def _has(node: Node) -> str:
    parts = [_amount(name, node.total.get(name, 0.0)) for name in ("CPU", "GPU")]
    return ", ".join(part for part in parts if not part.startswith("0 G")) if node.total else "nothing"


def _amount(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 2**30:.1f} GiB of memory"
    plural = "s" * (amount != 1 and name in ("CPU", "GPU"))
    return f"{amount:g} {name}{plural}"
