"""A tiny drawn training set and the smallest model of the family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.demo.world.dataset import write_split
from relforge.stages.tables import SCHEMAS, conform


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with `images`, `boxes` and `gold` of a dozen drawn pictures."""
    split = write_split(tmp_path_factory.mktemp("world"), "vg-like", 12, size=64)
    rows: dict[str, list[dict[str, Any]]] = {"images": [], "boxes": [], "gold": []}
    for graph in json.loads((split / "scene_graphs.json").read_text()):
        key = str(graph["image_id"])
        blank = dict.fromkeys(SCHEMAS["images"].names) | {"dataset": "world", "split": "vg-like"}
        where = {"uri": str(split / "images" / f"{graph['image_id']:06d}.jpg"), "image_id": key}
        rows["images"].append(blank | where | {"width": graph["width"], "height": graph["height"]})
        number = {thing["object_id"]: i for i, thing in enumerate(graph["objects"])}
        for thing in graph["objects"]:
            place = {side: thing[side] for side in "xywh"}
            row = {"image_id": key, "box_id": number[thing["object_id"]], "category": thing["names"][0]}
            rows["boxes"].append(row | place | {"iscrowd": False, "source_id": str(thing["object_id"])})
        for relation in graph["relationships"]:
            ends = {
                "subject_box": number[relation["subject_id"]],
                "object_box": number[relation["object_id"]],
            }
            rows["gold"].append({"image_id": key, "predicate": relation["predicate"]} | ends)
    folder = tmp_path_factory.mktemp("run")
    for name, facts in rows.items():
        (folder / name).mkdir()
        table = conform(name, pa.Table.from_pylist(facts, SCHEMAS[name]))
        pq.write_table(table, folder / name / "part-00000.parquet")
    return folder


@pytest.fixture
def settings(run_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of a recipe that takes a second."""
    return {
        "out": str(tmp_path / "out"),
        "data": [{"run": str(run_folder), "relations": "gold"}],
        "steps": 4,
        "log_every": 1,
        "save_every": 2,
        "model": {
            "kind": "rtagger",
            "sizes": {"dim": 64, "heads": 2, "encoder_layers": 2, "fusions": 2, "decoder_layers": 2}
            | {"feedforward": 64, "fusion_dim": 64, "language_heads": 2, "language_feedforward": 64},
            "backbone": {
                "family": "swin",
                "embed_dim": 16,
                "depths": [1, 1, 1, 1],
                "heads": [1, 2, 2, 4],
                "window": 4,
            },
            "text": {"model_type": "roberta", "hidden_size": 32, "num_hidden_layers": 1}
            | {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 66},
        },
        "batch": {
            "size": 2,
            "short_sides": [48, 64],
            "long_side": 80,
            "max_pairs": 16,
            "objects": 12,
            "relations": 12,
        },
        "optimisation": {"learning_rate": 1e-3, "backbone_learning_rate": 1e-3, "average_decay": 0.9},
    }
