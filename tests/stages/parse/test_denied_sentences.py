"""A hundred captions that deny, intend, depict or count, through the shipped parser and matching.

Every COCO class has two boxes in the image, so that a relation that should not be there shows.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from relforge.stages.match.stage import MatchStage
from relforge.stages.match.vocabulary import load
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform

LINES = Path(__file__).with_name("denied_sentences.txt").read_text(encoding="utf-8").splitlines()
CASES = [line.partition("=>") for line in LINES if line and not line.startswith("#")]
EXPECTED = {
    caption.strip(): {fact.strip() for fact in wanted.split(";") if fact.strip()}
    for caption, _, wanted in CASES
}


def captions_table(texts: list[str]) -> pa.Table:
    blank = dict.fromkeys(SCHEMAS["captions"].names)
    rows = [
        blank | {"image_id": f"{i:03}", "caption_id": 0, "text": text, "source": "hand"}
        for i, text in enumerate(texts)
    ]
    return conform("captions", pa.Table.from_pylist(rows, SCHEMAS["captions"]))


def stated(parser: str) -> dict[str, set[str]]:
    """Caption -> `class predicate-lemma class` of its candidates."""
    parse = build("parse", parser)
    parse.setup()
    texts = list(EXPECTED)
    triplets = parse.process({"captions": captions_table(texts)}).tables["triplets"]
    lemma = {(t["image_id"], t["triplet_id"]): t["predicate_lemma"] for t in triplets.to_pylist()}
    classes = sorted(load(["coco"]).classes)
    ids = [f"{i:03}" for i in range(len(texts))]
    boxes = pa.Table.from_pylist(
        [
            {"image_id": i, "box_id": n, "category": classes[n // 2], "x": 0.0, "y": 0.0, "w": 9.0, "h": 9.0}
            | {"iscrowd": False, "source_id": str(n)}
            for i in ids
            for n in range(2 * len(classes))
        ],
        SCHEMAS["boxes"],
    )
    blank = dict.fromkeys(SCHEMAS["images"].names) | {"dataset": "d", "split": "s", "width": 9, "height": 9}
    images = pa.Table.from_pylist([blank | {"image_id": i} for i in ids], SCHEMAS["images"])
    tables = {"triplets": triplets, "boxes": boxes, "images": images}
    found: dict[str, set[str]] = {text: set() for text in texts}
    for row in MatchStage(["coco"]).process(tables).tables["candidates"].to_pylist():
        ends = [classes[row[end] // 2] for end in ("subject_box", "object_box")]
        for triplet in row["triplet_ids"]:
            said = lemma[row["image_id"], triplet["triplet_id"]]
            found[texts[int(row["image_id"])]].add(f"{ends[0]} {said} {ends[1]}")
    return found


@pytest.fixture(scope="module")
def shipped() -> dict[str, set[str]]:
    return stated("relforge")


def test_there_are_a_hundred_sentences() -> None:
    assert len(EXPECTED) >= 100


def test_at_least_ninety_five_in_a_hundred_are_right(shipped) -> None:
    wrong = {caption: found for caption, found in shipped.items() if found != EXPECTED[caption]}

    assert len(wrong) <= 0.05 * len(EXPECTED), wrong


@pytest.mark.parametrize("parser", ["relforge", "sng_parser"])
def test_nothing_is_stated_of_a_caption_that_states_nothing(parser, shipped) -> None:
    found = shipped if parser == "relforge" else stated(parser)

    assert {
        caption: found[caption] for caption, wanted in EXPECTED.items() if not wanted and found[caption]
    } == {}
