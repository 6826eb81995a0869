"""`substring` equals the published string matching, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from relforge.stages.match.groups import published_groups
from relforge.stages.match.stage import MatchStage
from relforge.stages.tables import SCHEMAS


def tables_of(golden: dict) -> dict[str, pa.Table]:
    """The golden's scene graphs and instances as our tables (image ids as strings)."""
    names = {number: name for name, number in golden["name_to_category_id"].items()}
    images, boxes, triplets = [], [], []
    for split in golden["instances"].values():
        count: dict[str, int] = {}
        for image in split["images"]:
            row = dict.fromkeys(SCHEMAS["images"].names)
            sizes = {"width": image["width"], "height": image["height"]}
            images.append(row | {"image_id": str(image["id"]), "dataset": "golden", "split": ""} | sizes)
        for row in split["annotations"]:
            key = str(row["image_id"])
            box_id = count.setdefault(key, 0)
            place = dict(zip("xywh", row["bbox"], strict=True))
            what = {"category": names[row["category_id"]], "iscrowd": bool(row["iscrowd"])}
            boxes.append({"image_id": key, "box_id": box_id, "source_id": str(row["id"])} | place | what)
            count[key] += 1
    for key, graphs in golden["scene_graphs"].items():
        for caption, graph in enumerate(graphs):
            for number, relation in enumerate(graph["relations"]):
                row = dict.fromkeys(SCHEMAS["triplets"].names)
                row |= {"image_id": key, "caption_id": caption, "triplet_id": number, "parser": "golden"}
                row |= {
                    "predicate": relation["relation"],
                    "predicate_lemma": relation.get("lemma_relation", ""),
                }
                for end in ("subject", "object"):
                    entity = graph["entities"][relation[end]]
                    row |= {end: entity["span"], f"{end}_head": entity.get("head", "")}
                    row |= {f"{end}_lemma": entity.get("lemma_span", "")}
                triplets.append(row)
    found = {"images": images, "boxes": boxes, "triplets": triplets}
    return {name: pa.Table.from_pylist(rows, SCHEMAS[name]) for name, rows in found.items()}


def usable_boxes(tables: dict[str, pa.Table]) -> dict[str, list[int]]:
    """box ids of every image after the published loader dropped crowds and what is empty when clamped."""
    size = {row["image_id"]: row for row in tables["images"].to_pylist()}
    usable: dict[str, list[int]] = {}
    for box in tables["boxes"].to_pylist():
        image = size[box["image_id"]]
        right, bottom = min(box["x"] + box["w"], image["width"]), min(box["y"] + box["h"], image["height"])
        if not box["iscrowd"] and right > max(box["x"], 0) and bottom > max(box["y"], 0):
            usable.setdefault(box["image_id"], []).append(box["box_id"])
    return usable


@pytest.mark.parametrize("strategy", ["original_text", "paraphrases"])
@pytest.mark.parametrize("overlap", [False, True])
def test_candidates_equal_the_published_files(shared, tmp_path: Path, strategy: str, overlap: bool) -> None:
    # given the golden scene graphs, boxes and synonym lists
    golden = json.loads(shared("goldens/g6_string_matching.json").read_text())
    synonyms = tmp_path / "published.json"
    synonyms.write_text(json.dumps(golden["paraphrases"]))
    tables = tables_of(golden)

    # when they are matched the published way
    stage = MatchStage([str(synonyms)], "substring", strategy == "original_text", overlap)
    rows = stage.process(tables).tables["candidates"].to_pylist()

    # then the groups of every image, indexed into its usable boxes, are the same
    expected = golden["outputs"][f"{strategy},bbox_overlap={overlap}"]["relation_candidates"]
    usable = usable_boxes(tables)
    per_image: dict[str, list[tuple[int, int, str, int]]] = {key: [] for key in expected}
    for row in rows:
        rank = usable[row["image_id"]].index
        pair = rank(row["subject_box"]), rank(row["object_box"])
        per_image[row["image_id"]].append((*pair, row["predicate"], row["position"]))
    for key, groups in expected.items():
        ours = [[[list(pair) for pair in pairs], texts] for pairs, texts in published_groups(per_image[key])]
        assert ours == groups, key


def test_every_triplet_is_accounted_for(shared) -> None:
    tables = tables_of(json.loads(shared("goldens/g6_string_matching.json").read_text()))
    for method in ("substring", "boundary"):
        result = MatchStage(method=method).process(tables)
        assert result.kept + sum(result.dropped.values()) == tables["triplets"].num_rows
