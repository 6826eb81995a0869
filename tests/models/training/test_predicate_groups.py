"""Groups of predicates and of queries, and how often a target is repeated."""

from __future__ import annotations

import pytest
import torch

from relforge.models.training.multi_assignment import MultiAssignment, limit_load
from relforge.models.training.predicate_groups import PredicateGroups
from relforge.models.training.reweighting import Reweighting

COUNTS = {"near": 5, "on": 60, "ride": 1, "under": 12, "hold": 2, "in": 20}


def test_predicates_are_cut_by_falling_counts_and_queries_by_their_share() -> None:
    groups = PredicateGroups.fit(COUNTS, 3, 20)
    assert groups.names == ("on", "in", "under", "near", "hold", "ride")
    assert groups.sizes == (1, 1, 4)  # "on" alone has more than half; the release would leave its group empty
    assert groups.queries == (12, 4, 4)
    assert groups.groups_of(["ride", "on", "never seen"]).tolist() == [2, 0, 2]
    assert groups.groups_of_queries(2).bincount().tolist() == [24, 8, 8]


def test_no_group_is_empty_and_none_has_fewer_queries_than_asked() -> None:
    groups = PredicateGroups.fit({"on": 1000, "ride": 1, "hold": 1}, 3, 12, min_queries=3)
    assert groups.sizes == (1, 1, 1)
    assert groups.queries == (6, 3, 3)


def test_groups_survive_a_config_and_know_their_counts() -> None:
    groups = PredicateGroups.fit(COUNTS, 3, 20)
    assert PredicateGroups.from_config(groups.to_config()) == groups
    assert PredicateGroups.fit(COUNTS | {"ride": 3}, 3, 20).sha256 != groups.sha256


@pytest.mark.parametrize(
    "changed", [{"sizes": [2, 5]}, {"sizes": [0, 1, 5]}, {"queries": [20]}, {"queries": [0, 10, 10]}]
)
def test_groups_of_a_damaged_config_are_refused(changed: dict[str, list[int]]) -> None:
    config = PredicateGroups.fit(COUNTS, 3, 20).to_config() | changed
    with pytest.raises(ValueError, match="predicate_groups"):
        PredicateGroups.from_config(config)


@pytest.mark.parametrize(("groups", "pairs", "message"), [(7, 20, "6 predicates"), (3, 2, "too few")])
def test_more_groups_than_there_can_be_are_refused(groups: int, pairs: int, message: str) -> None:
    with pytest.raises(ValueError, match=rf"assign\.groups.*{message}"):
        PredicateGroups.fit(COUNTS, groups, pairs)


SUBJECTS = torch.tensor([(0.9, 0.1), (0.8, 0.2), (0.7, 0), (0.3, 0.6), (0.1, 0.5), (0, 0.4)])
OBJECTS = torch.tensor([(0.5, 0.2), (0.9, 0.1), (0.6, 0.1), (0.4, 0.7), (0.2, 0.2), (0.1, 0.3)])
PROBABILITY = torch.tensor([(0.2, 0.1), (0.6, 0), (0.1, 0.3), (0, 0.9), (0.3, 0.2), (0.1, 0.1)])
OWN = torch.tensor([(1, 0)] * 4 + [(0, 1)] * 2).bool()


@pytest.mark.parametrize(
    ("quality", "grouped", "weight", "sums", "repeats"),
    [
        ("max", False, -0.5, (2.45, 1.20), [2, 1]),
        ("max", False, 1.0, (3.90, 3.20), [3, 3]),
        ("max", True, -0.5, (2.45, 0.70), [2, 1]),
        ("max", True, 1.0, (3.80, 2.40), [3, 2]),
        ("min", False, 0.0, (2.20, 1.20), [2, 1]),
        ("min", True, -0.5, (1.75, 0.30), [1, 1]),
        ("gm", False, 1.0, (3.509, 2.811), [3, 2]),
        ("am", False, -0.5, (2.10, 0.90), [2, 1]),
    ],
)
def test_a_target_is_repeated_by_the_sum_of_its_best_qualities(
    quality: str, grouped: bool, weight: float, sums: tuple[float, float], repeats: list[int], monkeypatch
) -> None:
    # given IoUs instead of boxes
    monkeypatch.setattr("relforge.models.training.multi_assignment._overlaps", lambda ious, _: ious)
    own = OWN if grouped else torch.ones_like(OWN)
    multi = MultiAssignment(4, "dynamic", quality, weight)

    boxes = torch.ones(2, 4)
    worth = multi.quality_of((SUBJECTS[None], boxes), (OBJECTS[None], boxes), PROBABILITY[None], own)

    torch.testing.assert_close(worth.topk(4, 1).values.sum(1)[0], torch.tensor(sums), rtol=0, atol=1e-3)
    assert multi.repeats(worth).tolist() == [repeats]


def test_a_pair_without_object_is_as_good_as_its_subject() -> None:
    box = torch.tensor([[0.5, 0.5, 0.4, 0.4]])
    multi = MultiAssignment(1, "dynamic", "min", 0.0)
    worth = multi.quality_of(
        (box[None], box), (box[None], torch.zeros(1, 4)), torch.zeros(1, 1, 1), torch.ones(1, 1).bool()
    )
    assert float(worth) == 1.0


def test_static_repeats_are_always_k_and_few_queries_limit_the_sum_only() -> None:
    worth = torch.full((1, 2, 3), 0.9)
    assert MultiAssignment(5, "static").repeats(worth).tolist() == [[5, 5, 5]]
    assert MultiAssignment(5, "dynamic").repeats(worth).tolist() == [[1, 1, 1]]


def test_repeats_of_a_group_leave_half_of_its_queries_free() -> None:
    # group 0 has 8 queries, so 4 at most are taken; group 1 is not asked to give any
    limited = limit_load([3, 3, 2, 1], [0, 0, 1, -1], [0.9, 0.5, 0.1, 0.1], [8, 40], 0.5)
    assert limited == [2, 2, 2, 1]
    assert limit_load([2, 2, 2], [0, 0, 0], [1, 1, 1], [4], 0.5) == [1, 1, 1]  # each target keeps one


@pytest.mark.parametrize(
    ("options", "message"),
    [({"quality": "mean"}, "quality"), ({"scheme": "random"}, "scheme"), ({"k": 0}, r"multi\.k")],
)
def test_unknown_choices_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiAssignment(**options)  # type: ignore[arg-type]


def test_rare_predicates_count_more_and_beta_zero_switches_it_off() -> None:
    factors = Reweighting(alpha=0.07, beta=0.75).factors({"on": 9900, "ride": 100})
    assert factors["on"] == 1.0
    assert factors["ride"] == pytest.approx((0.07 / (0.01 + 1e-5)) ** 0.75)
    assert Reweighting(alpha=0.0, beta=0.0).factors({"on": 1, "ride": 0}) == {"on": 1.0, "ride": 1.0}
    with pytest.raises(ValueError, match="beta"):
        Reweighting(beta=-1)
