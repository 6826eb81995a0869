"""What is written can be read again: the same relations, and then the same file."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.stages.export import export
from relforge.stages.registry import build_source
from relforge.stages.relation_ids import derive_relation_ids
from relforge.stages.tables import SCHEMAS, conform

PAIR = ["image_id", "subject_box", "object_box", "predicate", "score"]


@pytest.fixture
def dataset(rows) -> list[dict[str, pa.Table]]:
    """Two shards: box ids with gaps (boxes set aside at ingest), a crowd, an image without relations,
    awkward text, scores without a short binary form."""
    shards = []
    for ids in (["10", "9"], ["b/1"]):
        images = rows.table(
            "images", *({"image_id": i, "uri": f"p/{i}.jpg"} for i in ids), width=90, height=70
        )
        boxes = [
            {
                "image_id": i,
                "box_id": k,
                "category": c,
                "x": 1.5 + k,
                "y": 2.25,
                "w": 9.1,
                "h": 7,
                "source_id": f"{i}-{k}",
            }
            | {"iscrowd": k == 4}
            for i in ids
            for k, c in ((0, "person"), (2, 'b"ike\\'), (3, "person"), (4, "horse"))
        ]
        facts = [
            (0, 2, "riding", 0.1),
            (0, 2, "on a", 1 / 3),
            (3, 0, "näxt to 🐕", 0.99),
            (2, 3, "under", 0.2),
        ]
        scored = [
            {"image_id": i, "subject_box": s, "object_box": o, "predicate": p, "score": score, "support": 3}
            | {
                "position": 1,
                "caption_ids": [0, 2],
                "triplet_ids": [],
                "rule": "a|b",
                "claim_id": 0,
                "alternatives": 1,
                "tagger": "t",
                "subject_score": 0.7,
            }
            for i in ids
            if i != "9"
            for s, o, p, score in facts
        ]
        blank = dict.fromkeys(SCHEMAS["scores"].names)
        relations = conform("scores", pa.Table.from_pylist([blank | r for r in scored], SCHEMAS["scores"]))
        relations = relations.append_column("relation_id", derive_relation_ids(relations, images))
        tables = {"images": images, "boxes": rows.table("boxes", *boxes)}
        shards.append(tables | {"relations": conform("relations", relations)})
    return shards


def whole(shards, name: str) -> pa.Table:
    return conform(name, pa.concat_tables(s[name] for s in shards))


def read(source, shard_images: int = 2):
    return [result.tables for result in source.shards(shard_images, relations=True)]


NAMES = {"dataset": "d", "split": "s"}
FORMATS = {
    "parquet": lambda path: build_source("parquet", root=path, **NAMES),
    "open-images": lambda path: build_source(
        "openimages",
        boxes=f"{path}/boxes.csv",
        relations=f"{path}/relations.csv",
        sizes=f"{path}/sizes.csv",
        images="p",
        **NAMES,
    ),
    "rlipv2": lambda path: build_source("rlipv2", annotations=path),
    "vg": lambda path: build_source(
        "visual_genome", annotations=path, dataset="d", split="s", lowercase=False
    ),
    "coco": lambda path: build_source("coco", annotations=path, images="p/{image_id}.jpg", **NAMES),
}


@pytest.mark.parametrize("to", FORMATS)
def test_relations_come_back_identical(dataset, tmp_path, to):
    out = str(tmp_path / "out.json")

    counts = export(to, iter(dataset), out)
    found = read(FORMATS[to](out))

    assert counts["relations"] == 8
    expected = whole(dataset, "relations")
    keep = expected.column_names if to in ("coco", "parquet") else [*PAIR, "relation_id"]
    assert whole(found, "relations").select(keep) == expected.select(keep)
    assert whole(found, "gold") == expected.select(SCHEMAS["gold"].names).cast(SCHEMAS["gold"])


@pytest.mark.parametrize("to", FORMATS)
def test_a_second_export_is_the_same_file(dataset, tmp_path, to):
    first, second = tmp_path / "1.json", tmp_path / "2.json"

    export(to, iter(dataset), str(first))
    export(to, iter(read(FORMATS[to](str(first)))), str(second))

    for path in sorted(first.iterdir()) if first.is_dir() else [first]:
        again = second / path.name if second.is_dir() else second
        if path.suffix == ".parquet":
            assert pq.read_table(again) == pq.read_table(path)
        else:
            assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("to", ["rlipv2", "vg"])
def test_file_names_come_back_where_they_were_asked_for(dataset, tmp_path, to):
    names = [f"cam/{k}.png" for k in range(2)]
    images = dataset[0]["images"]
    at = images.schema.get_field_index("file_name")
    dataset[0]["images"] = images.set_column(at, images.schema.field(at), pa.array(names))

    export(to, iter(dataset[:1]), str(tmp_path / "out"), file_names=True)

    [shard] = read(FORMATS[to](str(tmp_path / "out")))
    assert shard["images"]["file_name"].to_pylist() == names


@pytest.mark.parametrize("to", ["coco", "parquet"])
def test_boxes_come_back_whole(dataset, tmp_path, to):
    out = str(tmp_path / "out")

    export(to, iter(dataset), out)

    assert whole(read(FORMATS[to](out)), "boxes") == whole(dataset, "boxes")


def test_the_parquet_export_leaves_out_triplet_ids_whose_table_it_does_not_write(dataset, tmp_path) -> None:
    export("parquet", iter(dataset), str(tmp_path / "out"))

    written = pq.read_schema(tmp_path / "out" / "relations.parquet").names
    assert written == [name for name in SCHEMAS["relations"].names if name != "triplet_ids"]
