"""Which kills there are: drawn from a seed, so that every stage, shard and moment has its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from random import Random

from relforge.pipeline.run.job import INGEST
from tests.chaos.killing import MOMENTS, Kill

EXECUTORS: Mapping[str, Mapping[str, int]] = {
    "loop": {"self": 1},
    "loop-s3": {"self": 1},
    "ray": {"self": 10, "driver": 1, "node": 1, "head": 1},
    "cluster": {"self": 8, "driver": 1, "node": 2, "head": 1},
    "cluster-s3": {"self": 8, "driver": 1, "node": 2, "head": 1},
}
"""Where the job runs -> victims and how often each is drawn."""
KILLS_PER_CASE = {"loop": 10, "loop-s3": 10, "ray": 13, "cluster": 12, "cluster-s3": 12}
SHARES = {"loop": 0.3, "loop-s3": 0.1, "ray": 0.25, "cluster": 0.2, "cluster-s3": 0.15}
"""Of all kills."""


@dataclass(frozen=True)
class Case:
    """One run and the kills that happen to it."""

    name: str
    executor: str
    kills: tuple[Kill, ...]


def draw(
    seed: int,
    kills: int,
    tables: Mapping[str, Sequence[str]],
    shards: int,
    per_case: int | None = None,
) -> list[Case]:
    """The cases of a whole series.

    Args:
        kills: how many at least.
        per_case: at most so many in a run.
        tables: stage -> the tables it writes, ingest first.
        shards: of the job.
    """
    cases = []
    for executor, weights in EXECUTORS.items():
        count, random = per_case or KILLS_PER_CASE[executor], Random(f"{seed} {executor}")
        victims = [victim for victim, weight in weights.items() for _ in range(weight)]
        places = _places(random, tables, shards)
        for number in range(-(-int(kills * SHARES[executor]) // count)):
            random.shuffle(victims)
            chosen = _distinct(places, count)
            found = tuple(
                Kill(
                    victims[n % len(victims)] if stage != INGEST else "self",
                    stage,
                    shard,
                    moment,
                    random.choice(tables[stage]),
                    round(random.uniform(0.0, 0.2), 3),
                )
                for n, (stage, shard, moment) in enumerate(chosen)
            )
            cases.append(Case(f"{executor}-{number}", executor, found))
    return cases


def _places(random: Random, tables: Mapping[str, Sequence[str]], shards: int) -> list[tuple[str, int, str]]:
    """All places in a random order; taken from its end, and started again."""
    found = [
        place
        for place in product(tables, range(shards), MOMENTS)
        if place[0] != INGEST or place[2] not in ("begun", "working")
    ]
    random.shuffle(found)
    return found


def _distinct(places: list[tuple[str, int, str]], count: int) -> list[tuple[str, int, str]]:
    """The next places; they go to the end, so that all have their turn before one comes again."""
    chosen = list(islice(places, count))
    places[:] = [*places[count:], *chosen]
    return chosen
