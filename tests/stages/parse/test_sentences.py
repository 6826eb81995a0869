"""Captions whose graphs a person wrote down (`sentences.py`), parsed by the embedded parser."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.stage import build_parser


def _table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sentences", Path(__file__).with_name("sentences.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = _table()
ROWS = [
    pytest.param(
        caption,
        wanted,
        id=f"{kind}: {caption}",
        marks=pytest.mark.xfail(strict=True, reason=TABLE.MISSED[caption]) if caption in TABLE.MISSED else (),
    )
    for kind, sentences in TABLE.SENTENCES.items()
    for caption, wanted in sentences
]


def facts(wanted: str) -> set[tuple[str, ...]]:
    """`man | ride | horse ; horse: brown` -> {("man", "ride", "horse"), ("horse", "brown")}."""
    found: set[tuple[str, ...]] = set()
    for part in wanted.split(" ; "):
        if "|" in part:
            found.add(tuple(word.strip() for word in part.split("|")))
        else:
            owner, attributes = part.split(":")
            found |= {(owner.strip(), attribute.strip()) for attribute in attributes.split(",")}
    return found


def stated(graph: SceneGraph) -> set[tuple[str, ...]]:
    ends = graph.entities
    relations = {(ends[r.subject].head, r.lemma, ends[r.object].head) for r in graph.relations}
    return relations | {(entity.head, attribute) for entity in ends for attribute in entity.attributes}


@pytest.fixture(scope="module")
def graphs() -> dict[str, SceneGraph]:
    parser = build_parser("relforge")
    parser.setup()
    captions = [caption for sentences in TABLE.SENTENCES.values() for caption, _ in sentences]
    return dict(zip(captions, parser.parse(captions), strict=True))


@pytest.mark.parametrize(("caption", "wanted"), ROWS)
def test_the_graph_is_the_one_written_by_hand(
    graphs: dict[str, SceneGraph], caption: str, wanted: str
) -> None:
    assert stated(graphs[caption]) == facts(wanted)


def test_no_sentence_is_taken_from_the_training_data(shared) -> None:
    trained = shared("data/factual/random_train.csv").read_text(encoding="utf-8")

    assert [c for sentences in TABLE.SENTENCES.values() for c, _ in sentences if f",{c}," in trained] == []
