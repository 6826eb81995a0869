"""Groups of predicates by frequency, and the pair queries that each group owns (SpeaQ, CVPR 2024).

Queries of the last group learn rare predicates only: no frequent one competes for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class PredicateGroups:
    """Predicates and pair queries, cut into as many groups.

    Args:
        names: predicates, the most frequent first; a group is a run of them.
        counts: how often each occurs in the data that the groups were made from.
        sizes: predicates of each group.
        queries: pair queries of each group, in the order of the model's queries.

    Raises:
        ValueError: the numbers do not fit each other.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    queries: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.names) or sum(self.sizes) != len(self.names):
            raise ValueError("predicate_groups: names, counts and sizes differ in length")
        if len(self.queries) != len(self.sizes) or min(*self.queries, *self.sizes, 1) < 1:
            raise ValueError(
                f"predicate_groups: sizes {self.sizes} and queries {self.queries} are no numbers of a group, "
                "1 or more each"
            )

    @classmethod
    def fit(
        cls, counts: Mapping[str, int], groups: int, pairs: int, *, min_queries: int = 1
    ) -> PredicateGroups:
        """Groups of about equal mass: each takes predicates while its sum stays under half of what is left.

        Args:
            counts: predicate -> how often it occurs.
            groups: how many.
            pairs: pair queries of the model. Group g owns the share of them that its predicates have of the
                counts; what rounding leaves goes round, one more to the last groups.
            min_queries: of a group; what a group lacks is taken from the largest one.

        Raises:
            ValueError: fewer predicates, or fewer queries, than the groups need.
        """
        ordered = sorted(((name, int(count)) for name, count in counts.items()), key=lambda item: -item[1])
        if not 1 <= groups <= len(ordered):
            raise ValueError(f"assign.groups: {groups}; the data have {len(ordered)} predicates")
        if pairs < groups * min_queries:
            raise ValueError(f"assign.groups: {pairs} pair queries are too few for {groups} groups")
        values = [count for _, count in ordered]
        sizes = _halve(values, groups)
        ends = [sum(sizes[: i + 1]) for i in range(groups)]
        mass = [sum(values[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
        return cls(tuple(name for name, _ in ordered), tuple(values), sizes, _share(mass, pairs, min_queries))

    def groups_of(self, names: Sequence[str]) -> Tensor:
        """Group of every name; an unknown one belongs to the last group, that of the rarest."""
        group = [g for g, size in enumerate(self.sizes) for _ in range(size)]
        known = dict(zip(self.names, group, strict=True))
        return torch.tensor([known.get(name, len(self.sizes) - 1) for name in names], dtype=torch.long)

    def groups_of_queries(self, copies: int = 1) -> Tensor:
        """Group of every predicate query, `copies` of them for each pair query."""
        counts = torch.tensor(self.queries) * copies
        return torch.arange(len(self.queries)).repeat_interleave(counts)

    @property
    def sha256(self) -> str:
        """Of the names and counts."""
        content = json.dumps([self.names, self.counts], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def to_config(self) -> dict[str, Any]:
        """As `config.json` of a model folder holds it."""
        return {
            "counts": dict(zip(self.names, self.counts, strict=True)),
            "sizes": list(self.sizes),
            "queries": list(self.queries),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PredicateGroups:
        """What `to_config` wrote.

        Raises:
            KeyError, TypeError, ValueError: it does not describe groups.
        """
        counts = dict(config["counts"])
        return cls(tuple(counts), tuple(counts.values()), tuple(config["sizes"]), tuple(config["queries"]))


def _halve(counts: Sequence[int], groups: int) -> tuple[int, ...]:
    """Sizes of the groups. The published rule leaves a group empty whose first predicate has more than half
    of what remains, and may leave none for the last; here every group has one at least."""
    sizes, start = [], 0
    for later in range(groups - 1, 0, -1):
        half = sum(counts[start:]) // 2
        end, mass = start, 0
        while end < len(counts) - later and (end == start or mass + counts[end] < half):
            mass += counts[end]
            end += 1
        sizes.append(end - start)
        start = end
    return (*sizes, len(counts) - start)


def _share(mass: Sequence[int], pairs: int, min_queries: int) -> tuple[int, ...]:
    groups, total = len(mass), sum(mass)
    queries = [pairs * part // total if total else 0 for part in mass]
    more, last = divmod(pairs - sum(queries), groups)
    queries = [n + more + (g >= groups - last) for g, n in enumerate(queries)]
    for g in range(groups):
        while queries[g] < min_queries:
            largest = max(range(groups), key=queries.__getitem__)
            queries[largest] -= 1
            queries[g] += 1
    return tuple(queries)
