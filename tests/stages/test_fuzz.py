"""Whatever a file holds: one sentence that names it, or an account of every record. Never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relforge.pipeline.store.parquet import to_bytes
from relforge.stages.caption.import_ import import_captions
from relforge.stages.caption.oracle import oracle
from relforge.stages.contract import SourceError
from relforge.stages.ingest import coco_boxes, coco_images
from relforge.stages.match.vocabulary import load
from relforge.stages.registry import SOURCES, build_source
from relforge.stages.tables import SCHEMAS, conform
from tests.fixtures.datasets import FORMATS, Box, Image, Relation
from tests.fixtures.mutations import mutate_file, mutated_bytes, mutated_json

pytestmark = pytest.mark.slow

BOXES = [Box("person", (10, 10, 20, 40)), Box("dog", (40.5, 30, 20, 20.25)), Box("person", crowd=True)]
IMAGES = [
    Image(9, boxes=BOXES, relations=[Relation(0, "walks", 1), Relation(1, "beside", 0)]),
    Image(10, (640, 480), [Box("frisbee", (600, 400, 80, 20))]),
    Image(3),
]
READERS = 3
TRIES = int(os.environ.get("RELFORGE_FUZZ", "3000")) // (len(list(SOURCES)) + READERS)
fuzzed = settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture
def empty(tmp_path: Path) -> Callable[[], Path]:
    """Empties the one folder of all examples."""

    def remake() -> Path:
        for path in tmp_path.iterdir():
            path.unlink()
        return tmp_path

    return remake


@pytest.mark.parametrize("name", SOURCES)
@fuzzed
@given(data=st.data())
def test_a_mutated_dataset(name: str, empty: Callable[[], Path], data: st.DataObject) -> None:
    folder = empty()
    options = FORMATS[name].write(folder, IMAGES)
    if name != "parquet" and data.draw(st.booleans()):
        options["images"] = str(folder / "images")
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    whole = mutate_file(data, path)

    found = read(name, options, [path.name, name], data.draw(st.integers(1, 4)))

    if whole and isinstance(found, int) and name in COUNTS:
        assert found == COUNTS[name](json.loads(Path(options["annotations"]).read_bytes()))
    with pytest.MonkeyPatch.context() as patch:
        for module in (coco_boxes, coco_images):
            patch.setattr(module, "load_scanner", lambda *_: None)
        if name == "coco":
            assert isinstance(found, str) or read(name, options, [path.name], 4) == found


def read(name: str, options: dict[str, Any], files: list[str], shard_images: int) -> int | str:
    """The number of records, all of them accounted for; or the sentence."""
    total = 0
    try:
        for shard in build_source(name, **options).shards(shard_images):
            accounted = shard.kept + sum(shard.dropped.values()) + len(shard.quarantined)
            assert shard.notes["rows_in"] == accounted
            json.dumps(shard.notes)
            for quarantined in shard.quarantined:
                (json.dumps(dict(quarantined.record)) + quarantined.detail).encode()
            for table, rows in shard.tables.items():
                to_bytes(conform(table, rows), {})
            total += accounted
    except SourceError as error:
        return check(error, *files)
    return total


def check(error: Exception, *names: str) -> str:
    """The sentence of an error, which has to name the file."""
    sentence = str(error)
    assert any(name in sentence for name in names), sentence
    assert "\n" not in sentence
    return sentence


def count_coco(document: Any) -> int:
    parts = (document.get(name, []) for name in ("images", "annotations", "relations"))
    return sum(len(part) for part in parts if isinstance(part, list))


def count_scene_graphs(document: Any) -> int:
    records = [record if isinstance(record, dict) else {} for record in document]
    parts = [record.get(name, []) for record in records for name in ("objects", "relationships")]
    return len(records) + sum(len(part) if isinstance(part, list) else 1 for part in parts)


COUNTS: dict[str, Callable[[Any], int]] = {
    "coco": count_coco,
    "objects365": count_coco,
    "visual_genome": count_scene_graphs,
    "rlipv2": count_scene_graphs,
}
"""Adapter -> how many records a document has."""


CAPTIONS = {"9": ["a woman walks a dog", "a dog"], "10": "a frisbee", "3.jpg": []}
ROWS = [{"image_id": 9, "caption": "a woman walks a dog"}, {"image_id": "10", "caption": "a frisbee"}]
IMAGE_TABLE = {"image_id": ["10", "3", "9"], "width": [9, 9, 9], "height": [9, 9, 9]}


@pytest.mark.parametrize(
    ("backend", "document"),
    [(import_captions, CAPTIONS), (import_captions, ROWS), (oracle, {"annotations": ROWS})],
)
@settings(fuzzed, max_examples=max(1, 2 * TRIES // 3))
@given(data=st.data())
def test_a_mutated_caption_file(
    backend: Callable[..., Any],
    document: Any,
    empty: Callable[[], Path],
    data: st.DataObject,
) -> None:
    path = empty() / "captions.json"
    text = json.dumps(mutated_json(data, document)).encode(errors="surrogatepass")
    path.write_bytes(mutated_bytes(data, text) if data.draw(st.integers(0, 3)) == 0 else text)
    images = SCHEMAS["images"].empty_table()
    rows = [
        dict.fromkeys(images.column_names) | dict(zip(IMAGE_TABLE, row, strict=True))
        for row in zip(*IMAGE_TABLE.values(), strict=True)
    ]
    images = type(images).from_pylist(
        [row | {"dataset": "d", "split": "s"} for row in rows], SCHEMAS["images"]
    )
    stage = backend(str(path))

    try:
        stage.setup()
        shard = stage.process({"images": images})
    except ValueError as error:
        check(error, "captions.json")
        return

    assert shard.kept + sum(shard.dropped.values()) + len(shard.quarantined) == 3
    to_bytes(conform("captions", shard.tables["captions"]), {})


TABLE = {
    "classes": {"person": ["man", "woman"], "dog": ["puppy"]},
    "hypernyms": {"animal": ["dog"]},
    "exceptions": ["hot dog"],
}


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@settings(fuzzed, max_examples=max(1, TRIES // 2))
@given(data=st.data())
def test_a_mutated_synonym_table(suffix: str, empty: Callable[[], Path], data: st.DataObject) -> None:
    path = empty() / f"table{suffix}"
    table = mutated_json(data, data.draw(st.sampled_from([TABLE, TABLE["classes"]])))
    dumped = json.dumps(table) if suffix == ".json" or data.draw(st.booleans()) else yaml.safe_dump(table)
    text = dumped.encode(errors="surrogatepass")
    path.write_bytes(mutated_bytes(data, text) if data.draw(st.integers(0, 3)) == 0 else text)

    try:
        load([str(path)])
    except ValueError as error:
        check(error, path.name)
