"""The round trip through a real Label Studio: import tasks, show an image, correct, export, import.

Label Studio installs a gigabyte and takes a minute to start, so the suite runs this only where a server is
named. In an environment of its own (`pip install label-studio`), in an empty folder:

    LABEL_STUDIO_BASE_DATA_DIR=$PWD LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
    LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/tmp LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true \\
    label-studio start --no-browser --port 8097 --internal-host 127.0.0.1 --username me@example.com \\
        --password SECRET --user-token TOKEN

and then, with temporary folders of pytest under the same document root,

    RELFORGE_LABEL_STUDIO=http://127.0.0.1:8097 RELFORGE_LABEL_STUDIO_TOKEN=TOKEN \\
    pytest tests/cli/test_label_studio_server.py
"""

from __future__ import annotations

import json
import os
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.fixtures.labelled import label_world

SERVER = os.environ.get("RELFORGE_LABEL_STUDIO", "").rstrip("/")
TOKEN = os.environ.get("RELFORGE_LABEL_STUDIO_TOKEN", "")
pytestmark = pytest.mark.skipif(
    not SERVER, reason="set RELFORGE_LABEL_STUDIO to the address of a Label Studio server (see the file)"
)


def ask(path: str, value: Any = None, method: str | None = None) -> Any:
    """The server's answer to a request, from JSON; bytes of anything else."""
    body = None if value is None else json.dumps(value).encode()
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(SERVER + path, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        kind, content = answer.headers.get("Content-Type", ""), answer.read()
    return json.loads(content) if "json" in kind else content


def test_corrections_come_back_from_label_studio(relforge: Any, tmp_path: Path) -> None:
    run = label_world(tmp_path, images=6)
    out = tmp_path / "export"
    said = relforge(
        "export", run, "--to", "label-studio", "--out", out, f"document_root={tempfile.gettempdir()}"
    )
    assert said.code == 0, said.err
    tasks = json.loads((out / "tasks.json").read_text())
    project = ask(
        "/api/projects/", {"title": "relforge", "label_config": (out / "labelling.xml").read_text()}
    )["id"]
    images = tmp_path / "world" / "detection" / "images"
    storage = {"project": project, "title": "images", "path": str(images), "use_blob_urls": True}
    ask("/api/storages/localfiles", storage)

    done = ask(f"/api/projects/{project}/import", tasks)

    assert (done["task_count"], done["prediction_count"]) == (6, 6)
    listed = ask(f"/api/tasks?project={project}&fields=all&page_size=100")["tasks"]
    assert {one["data"]["image_id"] for one in listed} == {one["data"]["image_id"] for one in tasks}
    assert ask(listed[0]["data"]["image"])[:2] == b"\xff\xd8"  # the server shows the image
    scores = {one["task"]: one["score"] for one in ask(f"/api/predictions?project={project}")}
    expected = {one["data"]["image_id"]: one["predictions"][0].get("score") for one in tasks}
    for one in listed:
        if (score := expected[one["data"]["image_id"]]) is not None:
            assert scores[one["id"]] == pytest.approx(score)

    removed = None
    for one in listed:
        result = next(t for t in tasks if t["data"]["image_id"] == one["data"]["image_id"])["predictions"][0][
            "result"
        ]
        relations = [row for row in result if row["type"] == "relation"]
        if removed is None and relations:
            removed = (one["data"]["image_id"], relations[0])
            result = [row for row in result if row is not relations[0]]
            box = next(row for row in result if row["type"] == "rectanglelabels")
            box["value"] |= {"x": 1.0, "y": 2.0, "width": 30.0, "height": 40.0}
        ask(f"/api/tasks/{one['id']}/annotations/", {"result": result, "was_cancelled": False})
    exported = tmp_path / "project.json"
    exported.write_text(json.dumps(ask(f"/api/projects/{project}/export?exportType=JSON")))

    said = relforge("import", "label-studio", exported, "--into", run, "--json")
    assert said.code == 0, said.err
    assert removed is not None
    image, gone = removed
    before = pq.read_table(run / "relations").num_rows
    assert said.json["images"] == 6
    assert (said.json["boxes_changed"], said.json.get("boxes_removed", 0)) == (1, 0)
    assert (said.json["removed"], said.json["right"]) == (len(gone["labels"]), before - len(gone["labels"]))
    rows = pq.read_table(run / "corrections.parquet").to_pylist()
    assert {row["image_id"] for row in rows if row["verdict"] == "removed"} == {image}
    ask(f"/api/projects/{project}/", method="DELETE")
