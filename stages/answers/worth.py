"""Pairs worth asking about: near each other and of sizes that are not too unequal; models fail on the rest.

30 boxes are 870 ordered pairs, and each question costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from relforge.stages.account import Account
from relforge.vlm.frame import XYWH


class Worth:
    """Args:
    near: gap between two boxes at most, in longer sides of the larger box; boxes that overlap have none.
    max_ratio: larger area over smaller at most.
    max_boxes: boxes of an image at most, the largest ones.

    Raises:
        ValueError: a limit that leaves nothing.
    """

    def __init__(self, near: float, max_ratio: float, max_boxes: int) -> None:
        if near < 0:
            raise ValueError(f"near is {near}; it is a share of a box's side, 0 or more")
        if max_ratio < 1:
            raise ValueError(f"max_ratio is {max_ratio}; it is a larger area over a smaller, 1 or more")
        if max_boxes < 2:
            raise ValueError(f"max_boxes is {max_boxes}; a pair needs 2")
        self.near, self.max_ratio, self.max_boxes = near, max_ratio, max_boxes

    def choose(self, boxes: Sequence[Mapping[str, Any]], account: Account) -> list[tuple[int, int]]:
        """Unordered pairs of box ids, the smaller id first, sorted.

        Args:
            boxes: rows of the `boxes` table of one image; crowds take no part.
            account: `boxes_beyond_limit`, `pairs_not_asked` are noted.
        """
        usable = [box for box in boxes if not box["iscrowd"] and box["w"] > 0 and box["h"] > 0]
        usable.sort(key=lambda box: (-box["w"] * box["h"], box["box_id"]))
        account.note("boxes_beyond_limit", max(0, len(usable) - self.max_boxes))
        usable = sorted(usable[: self.max_boxes], key=lambda box: box["box_id"])
        pairs = list(combinations(usable, 2))
        chosen = [
            (one["box_id"], other["box_id"])
            for one, other in pairs
            if self._is_worth(xywh_of(one), xywh_of(other))
        ]
        account.note("pairs_not_asked", len(pairs) - len(chosen))
        return chosen

    def _is_worth(self, one: XYWH, other: XYWH) -> bool:
        areas = sorted((one[2] * one[3], other[2] * other[3]))
        if areas[1] > self.max_ratio * areas[0]:
            return False
        across = max(one[0], other[0]) - min(one[0] + one[2], other[0] + other[2])
        down = max(one[1], other[1]) - min(one[1] + one[3], other[1] + other[3])
        gap = math.hypot(max(0.0, across), max(0.0, down))
        longest = max(one[2:] if one[2] * one[3] == areas[1] else other[2:])
        return gap <= self.near * longest


def xywh_of(box: Mapping[str, Any]) -> XYWH:
    """The rectangle of a row of the `boxes` table, annotated pixels."""
    return box["x"], box["y"], box["w"], box["h"]


def group_pairs(pairs: Sequence[tuple[int, int]], size: int) -> list[list[int]]:
    """Groups of at most `size` box ids so that every pair is within one; few groups, always the same ones.

    A group starts with the first pair that is in none, and takes the box that adds most such pairs, of
    several the one with the smallest id.
    """
    waiting = dict.fromkeys(pairs)
    groups = []
    while waiting:
        group = set(next(iter(waiting)))
        while len(group) < size:
            gains: dict[int, int] = {}
            for one, other in waiting:
                if (one in group) != (other in group):
                    outside = other if one in group else one
                    gains[outside] = gains.get(outside, 0) + 1
            if not gains:
                break
            group.add(min(gains, key=lambda box: (-gains[box], box)))
        waiting = {pair: None for pair in waiting if not group.issuperset(pair)}
        groups.append(sorted(group))
    return groups
