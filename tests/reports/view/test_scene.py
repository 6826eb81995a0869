"""The facts of one image."""

from __future__ import annotations

from typing import Any

from relforge.reports.view.scene import describe_image

IMAGE = {"image_id": "1", "width": 10, "height": 8}
BOXES = [
    {"image_id": "1", "box_id": i, "category": c, "x": 0, "y": 0, "w": 5, "h": 5, "iscrowd": False}
    for i, c in enumerate(("person", "horse"))
]


def row(
    subject: int, predicate: str, object_: int, score: float = 0.9, captions: tuple[int, ...] = ()
) -> dict[str, Any]:
    """A scored row; gold ones use its first three fields."""
    pair = {"subject_box": subject, "object_box": object_, "predicate": predicate}
    return pair | {
        "score": score,
        "support": len(captions),
        "rule": "head|head",
        "claim_id": 0,
        "alternatives": 1,
        "caption_ids": list(captions),
    }


def facts(
    known: bool = True, shown: str = "relations", **tables: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The relations of the scene."""
    found: list[dict[str, Any]] = describe_image(IMAGE, {"boxes": BOXES, **tables}, shown, known)["relations"]
    return found


def test_relations_are_right_wrong_or_missed() -> None:
    found = facts(
        relations=[row(0, "riding", 1), row(1, "riding", 0, 0.4)], gold=[row(0, "riding", 1), row(0, "on", 1)]
    )

    assert [(one["predicate"], one["verdict"]) for one in found] == [
        ("riding", "right"),
        ("riding", "wrong"),
        ("on", "missed"),
    ]


def test_without_gold_nothing_is_judged() -> None:
    assert [one["verdict"] for one in facts(known=False, relations=[row(0, "riding", 1)])] == [None]


def test_a_missed_relation_names_the_stage_that_lost_it() -> None:
    found = facts(
        gold=[row(0, "on", 1), row(0, "near", 1), row(1, "under", 0)],
        candidates=[row(0, "on", 1), row(0, "near", 1)],
        scores=[row(0, "on", 1, 0.12)],
    )

    assert [one["why"] for one in found] == [
        "scored 0.12 and not kept",
        "a candidate without a score",
        "not among the candidates",
    ]


def test_the_best_score_comes_first() -> None:
    found = facts(relations=[row(0, "on", 1, 0.3), row(0, "riding", 1, 0.8)])

    assert [one["score"] for one in found] == [0.8, 0.3]


def test_the_quality_is_what_a_relation_was_chosen_by() -> None:
    rows = [row(0, "on", 1, 0.03) | {"quality": 0.9}, row(0, "riding", 1, 0.8) | {"quality": 0.7}]
    lost = {"gold": [row(1, "under", 0)], "scores": [row(1, "under", 0, 0.12)]}
    tables = {"boxes": BOXES, "relations": rows, **lost}

    found = describe_image(IMAGE, tables, "relations", True, learned=True)["relations"]

    assert [(one["score"], one.get("tagger")) for one in found] == [(0.9, 0.03), (0.7, 0.8), (None, None)]
    assert found[2]["why"] == "scored 0.12 and not kept"


def test_evidence_names_the_captions_that_are_there() -> None:
    captions = [{"caption_id": 2, "text": "a man riding a horse"}]

    (found,) = facts(
        relations=[row(0, "riding", 1, captions=(2, 5))], captions=captions, gold=[row(0, "riding", 1)]
    )

    assert found["evidence"] == [(2, [])]


def test_candidates_are_shown_where_the_run_stops_at_them() -> None:
    candidate = {key: value for key, value in row(0, "on", 1).items() if key != "score"}

    assert facts(known=False, shown="candidates", candidates=[candidate])[0]["score"] is None
