"""SpeaQ's groups and assignments against the published code (g16)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relforge.models.training.matches import Match
from relforge.models.training.predicate_groups import PredicateGroups
from tests.fixtures.speaq_goldens import MatcherFile, matcher_file

CASES = (
    "baseline_joint",
    "static1_independent",
    "static3_joint_group",
    "static3_independent_group",
    "static5_more_clones_than_queries",
    "static2_group_M1",
    "readme",
    "readme_nogroup",
    "dynamic_max_nopred",
    "dynamic_min",
    "dynamic_min_w1",
    "dynamic_gm",
    "dynamic_am",
    "dynamic_max_K8_w1_G6",
)


@pytest.fixture
def stored(goldens: Path) -> MatcherFile:
    return matcher_file(goldens)


def test_groups_and_their_queries_are_the_published_ones(stored: MatcherFile) -> None:
    for name, expected in stored.facts["groups"].items():
        groups, pairs, _ = (int(part.lstrip("Gso M")) for part in name.split("_"))
        plan = PredicateGroups.fit(stored.counts, groups, pairs)
        assert list(plan.sizes) == expected["group_sizes"], name
        assert list(plan.queries) == expected["queries_before_M"], name
        assert plan.groups_of(stored.facts["classes"]).tolist() == expected["class_to_group"], name


def test_all_cases_of_the_file_are_compared(stored: MatcherFile) -> None:
    assert set(CASES) == set(stored.facts["cases"])


@pytest.mark.parametrize("case", CASES)
def test_assignments_are_the_published_ones(stored: MatcherFile, case: str) -> None:
    facts = stored.facts["cases"][case]
    matching = stored.matching(facts["config"])
    layers = matching.match(stored.layers(facts["M"]), stored.targets())
    for layer, expected in facts["layers"].items():
        matches: list[Match] = layers[int(layer)]
        for i, match in enumerate(matches):
            queries, clones = expected["matched"][i]
            origin = [row for row, times in enumerate(expected["k"][i]) for _ in range(times)]
            assert match.queries.tolist() == queries
            assert match.targets.tolist() == [origin[clone] for clone in clones]
            assert match.foreign == expected["penalised_matches"][i]
            assert (match.found, match.repeats) == (len(expected["k"][i]), sum(expected["k"][i]))


@pytest.mark.parametrize("case", ["baseline_joint", "readme", "static3_joint_group"])
def test_costs_are_the_published_ones(stored: MatcherFile, case: str) -> None:
    facts = stored.facts["cases"][case]
    matching = stored.matching(facts["config"])
    tables = matching.matcher.tables(stored.layers(facts["M"]), stored.targets())
    groups = matching.groups
    for i, table in enumerate(tables):
        expected = stored[f"cost/{case}/image{i}"]
        times = torch.tensor(facts["layers"]["2"]["k"][i], dtype=torch.long)
        ours = (table.sum(0) if matching.joint else table[-1]).repeat_interleave(times, 1)
        legal = torch.ones_like(ours, dtype=torch.bool)
        if groups is not None:
            predicate = stored[f"target{i}/relation_labels"].repeat_interleave(times)
            of_targets = groups.groups_of(stored.facts["classes"])[predicate]
            legal = groups.groups_of_queries(facts["M"])[:, None] == of_targets
        torch.testing.assert_close(ours[legal], expected[legal], rtol=0, atol=1e-4)
        assert bool((expected[~legal] > 1e5).all())
