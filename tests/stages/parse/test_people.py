"""What people's captions state of two things, after the parse stage with its defaults (`people.py`)."""

from __future__ import annotations

import importlib.util
import json
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform


def _table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("people", Path(__file__).with_name("people.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = _table()
ROWS = [
    pytest.param(
        annotation,
        wanted,
        id=f"{kind}: {annotation}",
        marks=pytest.mark.xfail(strict=True, reason=TABLE.MISSED[annotation])
        if annotation in TABLE.MISSED
        else (),
    )
    for kind, captions in TABLE.PEOPLE.items()
    for annotation, wanted in captions.items()
]


def parts(fact: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in fact.strip("! ").split("|"))


@pytest.fixture(scope="module")
def stated(shared) -> dict[int, set[tuple[str, ...]]]:
    """Annotation id -> (subject head, predicate, object head) of its triplets."""
    data = json.loads(shared("data/coco/captions_val2017_part.json").read_text(encoding="utf-8"))
    listed = {annotation for captions in TABLE.PEOPLE.values() for annotation in captions}
    texts = {a["id"]: a["caption"] for a in data["annotations"] if a["id"] in listed}
    blank = dict.fromkeys(SCHEMAS["captions"].names) | {"caption_id": 0, "source": "people"}
    rows = [blank | {"image_id": str(key), "text": text} for key, text in texts.items()]
    stage = build("parse", "relforge")
    stage.setup()
    captions = conform("captions", pa.Table.from_pylist(rows, SCHEMAS["captions"]))
    found: dict[int, set[tuple[str, ...]]] = {annotation: set() for annotation in listed}
    for row in stage.process({"captions": captions}).tables["triplets"].to_pylist():
        said = (row["subject_head"], row["predicate"], row["object_head"])
        found[int(row["image_id"])].add(said)
    return found


@pytest.mark.parametrize(("annotation", "wanted"), ROWS)
def test_a_caption_states_what_a_person_reads_in_it(
    stated: dict[int, set[tuple[str, ...]]], annotation: int, wanted: str
) -> None:
    found = stated[annotation]
    facts = [fact.strip() for fact in wanted.split(" ; ")]

    def is_there(fact: str) -> bool:
        return any(all(map(fnmatchcase, said, parts(fact))) for said in found)

    assert [f for f in facts if is_there(f) == f.startswith("!")] == [], sorted(found)
