"""Exports in the hands of the tools that people open them with: each reads the same relations again."""

from __future__ import annotations

import http.server
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.fixtures.labelled import label_world

Fact = tuple[str, int, str, int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label_world(tmp_path_factory.mktemp("labelled"), images=6, shard_images=4)


@pytest.fixture(scope="module")
def facts(run: Path) -> set[Fact]:
    return facts_of(pq.read_table(run / "relations").to_pylist())


def facts_of(rows: Any) -> set[Fact]:
    return {(str(r["image_id"]), r["subject_box"], r["predicate"], r["object_box"]) for r in rows}


def exported(relforge: Any, run: Path, to: str, out: Path, *options: str) -> Path:
    said = relforge("export", run, "--to", to, "--out", out, *options)
    assert said.code == 0, said.err
    return out


@pytest.fixture
def parquet(relforge: Any, run: Path, tmp_path: Path) -> Path:
    return exported(relforge, run, "parquet", tmp_path / "parquet")


def test_pandas(parquet: Path, facts: set[Fact], tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(parquet / "relations.parquet")
    assert facts_of(frame.to_dict("records")) == facts
    boxes = pandas.read_parquet(parquet / "boxes.parquet")
    joined = frame.merge(boxes, left_on=["image_id", "subject_box"], right_on=["image_id", "box_id"])
    assert len(joined) == len(facts)
    frame.to_parquet(tmp_path / "again.parquet")
    assert facts_of(pq.read_table(tmp_path / "again.parquet").to_pylist()) == facts


def test_polars(parquet: Path, facts: set[Fact], tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(parquet / "relations.parquet")
    assert facts_of(frame.to_dicts()) == facts
    frame.write_parquet(tmp_path / "again.parquet")
    assert facts_of(pq.read_table(tmp_path / "again.parquet").to_pylist()) == facts


def test_duckdb(parquet: Path, facts: set[Fact]) -> None:
    sql = f"""SELECT r.image_id, subject_box, predicate, object_box FROM '{parquet}/relations.parquet' r
        JOIN '{parquet}/boxes.parquet' b ON b.image_id = r.image_id AND b.box_id = r.object_box"""
    rows = duckdb.sql(sql).to_arrow_table().to_pylist()
    assert facts_of(rows) == facts


def test_an_export_is_a_dataset_of_its_own_again(
    parquet: Path, run: Path, facts: set[Fact], relforge: Any, tmp_path: Path
) -> None:
    out = tmp_path / "coco.json"
    said = relforge("convert", parquet, "--from", "parquet", "--to", "coco", "--out", out, f"root={parquet}")
    if said.code:  # the format names its folder by `root`
        said = relforge("convert", parquet, "--from", "parquet", "--to", "coco", "--out", out)
    assert said.code == 0, said.err
    assert len(json.loads(out.read_text())["relations"]) == len(facts)


def test_pycocotools_and_supervision(relforge: Any, run: Path, facts: set[Fact], tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    path = exported(relforge, run, "coco", tmp_path / "coco.json")
    coco = COCO(str(path))
    found = set()
    for relation in coco.dataset["relations"]:
        subject, object_ = coco.anns[relation["subject_id"]], coco.anns[relation["object_id"]]
        assert subject["image_id"] == object_["image_id"] == relation["image_id"]
        ends = subject["box_id"], object_["box_id"]
        found.add((str(relation["image_id"]), ends[0], relation["predicate"], ends[1]))
    assert found == facts

    supervision = pytest.importorskip("supervision")
    images = tmp_path / "images"  # under the names that the annotations have
    images.mkdir()
    for image in coco.dataset["images"]:
        shutil.copy(image["uri"], images / image["file_name"])
    dataset = supervision.DetectionDataset.from_coco(str(images), str(path))
    assert len(dataset) == 6
    boxes = sum(len(detections) for _, _, detections in dataset)
    assert boxes == len(coco.anns)


def test_fiftyone_reads_boxes_that_list_their_relations(
    relforge: Any, run: Path, facts: set[Fact], tmp_path: Path
) -> None:
    folder = exported(relforge, run, "fiftyone", tmp_path / "fiftyone")
    labels = json.loads((folder / "labels.json").read_text())
    assert all(Path(image["file_name"]).is_file() for image in labels["images"])
    said = [text for one in labels["annotations"] for text in one["relations"]]
    assert len(said) == len(facts)
    subject = labels["annotations"][labels["relations"][0]["subject_id"] - 1]
    assert any(text.startswith(labels["relations"][0]["predicate"] + " ") for text in subject["relations"])
    assert sum(one["related"] for one in labels["annotations"]) == 2 * len(facts)
    reader = pytest.importorskip(
        "fiftyone.utils.coco", reason="FiftyOne brings a database along; not installed"
    )
    *_, annotations = reader.load_coco_detection_annotations(str(folder / "labels.json"))
    found = [
        text for objects in annotations.values() for one in objects for text in one.attributes["relations"]
    ]
    assert sorted(found) == sorted(said)


LOAD = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
folder, table, cache = sys.argv[1:]
keys = ("image_id", "subject_box", "predicate", "object_box")
def facts(rows):
    return sorted([row[key] for key in keys] for row in rows)
names = get_dataset_config_names(folder)
loaded = {name: load_dataset(folder, name, cache_dir=cache)["train"] for name in names}
image = loaded["images"][0]
plain = load_dataset("parquet", data_files=table, split="train", cache_dir=cache)
print(json.dumps({
    "rows": {name: len(rows) for name, rows in loaded.items()}, "facts": facts(loaded["relations"]),
    "plain": facts(plain), "size": image["image"].size, "said": [image["width"], image["height"]],
}))
"""


def test_datasets_reads_every_table_by_name(
    relforge: Any, run: Path, facts: set[Fact], tmp_path: Path, parquet: Path
) -> None:
    if importlib.metadata.packages_distributions().get("datasets") is None:
        pytest.skip("datasets is not installed: pip install 'relforge[dev]'")
    folder = exported(relforge, run, "hf", tmp_path / "dataset")
    # in a process of its own: a file of the fixtures has the library's name
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LOAD,
            str(folder),
            str(parquet / "relations.parquet"),
            str(tmp_path / "cache"),
        ],
        env=clean | {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {tuple(one) for one in found["facts"]} == {tuple(one) for one in found["plain"]} == facts
    tables = ("relations", "images", "boxes")
    assert found["rows"] == {name: pq.read_table(run / name).num_rows for name in tables}
    assert found["size"] == found["said"]
    assert f"Relations by relforge: {len(facts):,} of" in (folder / "README.md").read_text()


class Hub(http.server.BaseHTTPRequestHandler):
    """The hub's four answers that an upload of small files needs."""

    files: list[str]
    refused = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.refused:
            return self.answer({"error": "no"}, 403)
        if self.path.endswith("/validate-yaml"):
            return self.answer({"warnings": [], "errors": []})
        if self.path.endswith("/create"):
            return self.answer({"url": f"http://{self.headers['Host']}/datasets/me/mine", "name": "me/mine"})
        if "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]
            return self.answer({"files": files})
        lines = [json.loads(line) for line in body.decode().splitlines() if line]
        self.files.extend(one["value"]["path"] for one in lines if one["key"] == "file")
        address = f"http://{self.headers['Host']}/datasets/me/mine/commit/c0ffee"
        return self.answer({"commitUrl": address, "commitOid": "c0ffee", "success": True})

    def do_GET(self) -> None:
        self.answer({"sha": "0", "id": "me/mine", "siblings": []})

    def answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on loopback, and a token for it."""
    import huggingface_hub.constants as constants

    handler = type("Hub", (Hub,), {"files": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", address, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", "hf_made_up_for_this_test")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_push_uploads_the_dataset_of_a_run(relforge: Any, run: Path, hub: type[Hub]) -> None:
    said = relforge("push", run, "me/mine", "--no-embed")
    assert said.code == 0, said.err
    assert "uploaded, commit c0ffee" in said.out
    assert {"README.md", "data/relations/train-00000.parquet"} <= set(hub.files)
    assert "hf_made_up" not in said.out + said.err


def test_push_says_in_a_sentence_why_it_cannot(
    relforge: Any, run: Path, hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refused = True
    refused = relforge("push", run, "me/mine", "--no-embed")
    assert refused.code == 3
    assert "me/mine cannot be uploaded" in refused.err
    assert relforge("push", run, "mine").code == 64
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in relforge("push", run, "me/mine").err
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    none = relforge("push", run, "me/mine")
    assert (none.code, "there is no token" in none.err) == (64, True)
