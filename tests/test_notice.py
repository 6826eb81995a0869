"""NOTICE has the terms of everything that is shipped and is not code."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
DATA = {".safetensors", ".json", ".txt", ".bin", ".jpg", ".yaml", ""}
OURS = (
    "configs/",
    "constraints",
    ".",
    "LICENSE",
    "NOTICE",
    "Makefile",
    "MANIFEST.in",
    "tests/",
    "benchmarks/",
)
"""What is no data: configs, and files that are not in the package."""


def listed() -> list[str]:
    """Paths that begin an entry."""
    folder = re.compile("(?:demo|stages|models|trainer|vlm|docs)/")
    heads = [line for line in NOTICE.splitlines() if folder.match(line)]
    return [part.split(" ")[0] for line in heads for part in line.split(", ") if "/" in part]


def shipped() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [f for f in files if Path(f).suffix in DATA and not f.startswith(OURS) and (ROOT / f).is_file()]


def test_every_file_of_data_is_under_an_entry() -> None:
    without = [
        file for file in shipped() if not any(file == one or file.startswith(f"{one}/") for one in listed())
    ]

    assert without == []


def test_every_entry_is_there() -> None:
    assert [path for path in listed() if not (ROOT / path).exists()] == []
    assert "stages/parse/pipeline_en" in listed()


def test_the_share_alike_pipeline_has_its_licence_beside_it_and_in_the_metadata() -> None:
    folder = ROOT / "stages" / "parse" / "pipeline_en"
    licence = (folder / "LICENSE.txt").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert json.loads((folder / "meta.json").read_text())["license"] == "CC BY-SA 4.0"
    assert "https://creativecommons.org/licenses/by-sa/4.0/legalcode" in licence
    assert "Leland Stanford Junior" in " ".join(licence.split())
    assert "CC-BY-SA-4.0" in project["license"]
    assert {"LICENSE", "NOTICE", "stages/parse/pipeline_en/LICENSE.txt"} == set(project["license-files"])


def test_terms_that_nobody_has_verified_are_called_so() -> None:
    notice = " ".join(NOTICE.split())
    readme = (ROOT / "stages" / "parse" / "learned" / "weights" / "README.md").read_text(encoding="utf-8")

    assert "whether it holds for the scene graphs themselves is unverified" in notice
    assert "FACTUAL's scene graphs (above; their terms are unverified)" in notice
    assert "the terms of FACTUAL's scene graphs themselves are unverified" in readme


def test_every_origin_that_a_card_names_is_in_the_notice() -> None:
    card = json.loads((ROOT / "stages/parse/pipeline_en/card.json").read_text(encoding="utf-8"))
    words = " ".join(NOTICE.split())

    for source in card["data"].values():
        name = source["origin"].split(",")[0].removesuffix(" random split; captions from Visual Genome")
        assert name in words
    for folder in ("blip", "rtagger", "parsed"):
        assert "Licence: Apache-2.0" in (ROOT / "demo" / "weights" / folder / "README.md").read_text()
