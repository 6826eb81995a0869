"""`relforge fetch`: from a hub and a server on this machine; resumed, checked, and used by configs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from relforge.data.sources import load_relations
from relforge.models.fetched import COMPLETE, find_fetched, read_name
from relforge.models.files import resolve_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 4000
CONFIG = b'{"model_type": "tiny"}'
NAME = f"hub:someone/tiny@{COMMIT}"


def git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class Server:
    """A hub with one model, and files at paths of its own.

    Args:
        files: path -> content.
        requests: paths, with the range asked for.
    """

    def __init__(self) -> None:
        resolve = f"/someone/tiny/resolve/{COMMIT}"
        self.files = {f"{resolve}/config.json": CONFIG, f"{resolve}/model.safetensors": WEIGHTS}
        self.files["/data/boxes.json"] = b"{}"
        self.requests: list[tuple[str, str | None]] = []
        self.stop_after: int | None = None
        self.siblings: list[dict[str, Any]] = [
            {"rfilename": "config.json", "size": len(CONFIG), "blobId": git_hash(CONFIG)},
            {
                "rfilename": "model.safetensors",
                "size": len(WEIGHTS),
                "blobId": "0" * 40,
                "lfs": {"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)},
            },
            {"rfilename": "flax_model.msgpack", "size": 5, "blobId": "0" * 40},
            {"rfilename": "onnx/model.onnx", "size": 5, "blobId": "0" * 40},
        ]

    def listing(self) -> bytes:
        card = {"license": "apache-2.0"}
        return json.dumps({"sha": COMMIT, "cardData": card, "siblings": self.siblings}).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, wanted = self.path.partition("?")[0], self.headers.get("Range")
            state.requests.append((path, wanted))
            api = ("/api/models/someone/tiny", f"/api/models/someone/tiny/revision/{COMMIT}")
            content = state.listing() if path in api else state.files.get(path)
            if content is None:
                return self.send_error(404)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content) if state.stop_after is None else start + state.stop_after
            self.wfile.write(content[start:end])
            return None

        def log_message(self, *arguments: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("RELFORGE_CACHE", str(tmp_path / "cache"))
    yield state
    listening.shutdown()
    listening.server_close()


def url(path: str, content: bytes) -> str:
    import os

    return f"{os.environ['HF_ENDPOINT']}{path}#sha256={hashlib.sha256(content).hexdigest()}"


def test_a_model_is_fetched_with_its_licence_and_used_by_its_name(relforge: Any, server: Server) -> None:
    said = relforge("fetch", NAME)

    assert said.code == 0, said.err
    assert f"name in a config: {NAME}" in said.out
    assert "licence: apache-2.0; its terms are on https://huggingface.co/someone/tiny" in said.out
    found = resolve_model(NAME)
    assert [Path(file).name for file in found.files] == ["config.json", "model.safetensors"]
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS


def test_what_is_here_is_not_asked_for_again(
    relforge: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    relforge("fetch", NAME)
    asked = len(server.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    said = relforge("fetch", NAME, "--json")

    assert (said.json["was_here"], said.json["licence"]) == (True, "apache-2.0")
    assert len(server.requests) == asked


def test_without_a_commit_the_name_to_write_is_printed(relforge: Any, server: Server) -> None:
    said = relforge("fetch", "hub:someone/tiny")

    assert f"name in a config: {NAME}" in said.out
    with pytest.raises(FileNotFoundError, match="has no commit"):
        find_fetched("hub:someone/tiny")


def test_a_fetch_that_was_stopped_goes_on_where_it_was(relforge: Any, server: Server) -> None:
    server.stop_after = 100_000
    stopped = relforge("fetch", NAME)
    server.stop_after = None
    server.requests.clear()

    said = relforge("fetch", NAME)

    assert stopped.code == 64
    assert said.code == 0, said.err
    ranges = {Path(path).name: wanted for path, wanted in server.requests}
    assert ranges["model.safetensors"] == "bytes=100000-"
    assert "config.json" not in ranges
    assert (resolve_model(NAME).path / "model.safetensors").read_bytes() == WEIGHTS


def test_another_content_than_the_pinned_one_is_refused(relforge: Any, server: Server) -> None:
    path = f"/someone/tiny/resolve/{COMMIT}/model.safetensors"
    server.files[path] = WEIGHTS[:-1] + b"x"

    said = relforge("fetch", NAME)

    assert said.code == 64
    assert "its content has the hash sha256:" in said.err
    assert "it was deleted" in said.err
    with pytest.raises(FileNotFoundError, match=r"is not on this machine; fetch it once: `relforge fetch "):
        resolve_model(NAME)


def test_a_file_of_a_url_is_pinned_by_its_hash(relforge: Any, server: Server) -> None:
    name = url("/data/boxes.json", b"{}")

    said = relforge("fetch", name, "--json")

    assert Path(said.json["path"]).read_bytes() == b"{}"
    assert find_fetched(name) == Path(said.json["path"])
    assert relforge("fetch", url("/data/boxes.json", b"[]")).code == 64
    missing = relforge("fetch", url("/data/none.json", b""))
    assert "the server answers 404" in missing.err


def test_a_repository_cannot_place_a_file_outside_its_folder(relforge: Any, server: Server) -> None:
    server.siblings.append({"rfilename": "../../escape.json", "size": 2, "blobId": git_hash(b"{}")})

    said = relforge("fetch", NAME)

    assert said.code == 64
    assert "lists the file '../../escape.json', which is outside of it" in said.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bert-base-uncased", "names nothing that can be fetched; write hub:OWNER/REPOSITORY@COMMIT"),
        ("hub:someone/tiny@main", "names nothing that can be fetched"),
        ("https://host/file.zip", "names nothing that can be fetched"),
    ],
)
def test_a_name_without_a_hash_is_refused(relforge: Any, name: str, sentence: str) -> None:
    said = relforge("fetch", name)

    assert said.code == 64
    assert sentence in said.err


def test_offline_is_said_at_once(
    relforge: Any, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set, so nothing is fetched" in relforge("fetch", NAME).err
    assert server.requests == []

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    said = relforge("fetch", NAME)

    assert said.code == 64
    assert "cannot be reached" in said.err
    assert said.err.count("\n") == 1


def test_a_config_that_names_what_was_not_fetched_says_the_command(
    relforge: Any, server: Server, config: Path
) -> None:
    said = relforge(
        "validate", config, "--allow-code", "stages.tag.backend=rtagger", f"stages.tag.model={NAME}"
    )

    assert said.code == 64
    assert f"stages.tag.model: {NAME} is not on this machine" in said.err
    assert f"relforge fetch '{NAME}'" in said.err


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set of the hub as `relforge fetch` leaves it; its name."""
    monkeypatch.setenv("RELFORGE_CACHE", str(tmp_path / "cache"))
    name = f"hub:datasets/someone/boxes@{COMMIT}"
    folder = read_name(name).folder
    write_coco(folder / "annotations.json")
    (folder / COMPLETE).write_text(json.dumps({"name": name, "licence": "cc0-1.0"}))
    return name


def write_coco(path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 3, "name": "person"}, {"id": 4, "name": "horse"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 5, 40, 60]},
            {"id": 2, "image_id": 1, "category_id": 4, "bbox": [5, 30, 80, 40]},
        ],
        "relations": [{"image_id": 1, "subject_id": 1, "predicate": "riding", "object_id": 2}],
    }
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    (path.parent / "captions.json").write_text(json.dumps({"1": ["a man riding a horse"]}))


def write_config(folder: Path, annotations: str, captions: str) -> Path:
    path = folder / "config.yaml"
    values = {
        "dataset": {"name": "tiny", "split": "all", "format": "coco", "annotations": annotations},
        "run": {"folder": str(folder / "run")},
        "stages": {
            "caption": {"backend": "import", "files": captions},
            "parse": {"backend": "relforge"},
            "match": {"backend": "synonyms"},
            "tag": {"backend": "rule"},
            "select": {"backend": "select"},
        },
    }
    path.write_text(json.dumps(values))
    return path


def test_a_config_names_files_of_a_fetched_data_set(relforge: Any, fetched: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, f"{fetched}/annotations.json", f"{fetched}/captions.json")

    said = relforge("run", config, "--executor", "loop")

    assert said.code == 0, said.err
    job = json.loads((tmp_path / "run" / "run.json").read_text())["job"]
    assert job["source"]["options"]["annotations"] == f"{fetched}/annotations.json"
    moved = tmp_path / "elsewhere"
    (tmp_path / "cache").rename(moved)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELFORGE_CACHE", str(moved))
        again = relforge("run", config, "--executor", "loop")  # with another machine's cache
    assert "everything is done already" in again.out


@pytest.mark.parametrize("field", ["dataset.annotations", "stages.caption.files"])
@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_a_data_set_that_is_not_here_is_one_sentence_with_the_command(
    relforge: Any, fetched: str, tmp_path: Path, field: str, verb: str
) -> None:
    config = write_config(tmp_path, f"{fetched}/annotations.json", f"{fetched}/captions.json")
    absent = fetched.replace("boxes", "others")

    said = relforge(verb, config, f"{field}={absent}/annotations.json")

    assert said.code == 64
    assert len(said.err.strip().splitlines()) == 1
    assert f"{field}: {absent}/annotations.json is not on this machine" in said.err
    assert f"fetch it once: `relforge fetch '{absent}'`" in said.err


def test_a_place_that_a_data_set_does_not_have_is_named_with_those_it_has(
    relforge: Any, fetched: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, f"{fetched}/boxes.json", f"{fetched}/captions.json")

    said = relforge("validate", config)

    assert said.code == 64
    assert "has no boxes.json; it has annotations.json, captions.json" in said.err
    with pytest.raises(ValueError, match="names nothing that can be fetched"):
        find_fetched(f"{fetched}/../../other.json")


def test_training_data_may_be_a_fetched_file(fetched: str) -> None:
    [part] = [{"format": "coco_relations", "annotations": f"{fetched}/annotations.json"}]

    assert len(load_relations([part])) == 1
    with pytest.raises(FileNotFoundError, match="relforge fetch"):
        load_relations([part | {"annotations": fetched.replace("boxes", "others")}])
