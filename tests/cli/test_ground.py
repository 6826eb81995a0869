"""`relforge ground fit`: a model folder from a run, and one sentence for wrong use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.stages.registry import build
from tests.fixtures.play import play as made_play


@pytest.fixture(scope="module")
def play() -> Mapping[str, pa.Table]:
    return made_play()


@pytest.fixture(scope="module")
def run(play, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for name in ("images", "boxes", "gold", "candidates"):
        (folder / name).mkdir()
        pq.write_table(play[name], folder / name / "part-00000.parquet")
    return folder


def test_the_command_writes_a_folder_that_the_stage_takes(run, play, tmp_path, relforge) -> None:
    out = tmp_path / "prior"
    said = relforge("ground", "fit", run, "--out", out, "--gold", "--licence", "mine")

    assert said.code == 0, said.err
    card = json.loads((out / "card.json").read_text())
    assert (card["seed"], card["licence"], len(card["data"][0]["sha256"])) == (0, "mine", 64)
    stage = build("ground", "learned", model=str(out), floor=0.0)
    stage.setup()
    result = stage.process(play)
    table = result.tables["grounded"]
    assert (result.kept, table["prior"].null_count) == (play["candidates"].num_rows, 0)
    # the same bits whatever else is in the shard
    few = dict(play) | {"candidates": play["candidates"].slice(0, 12)}
    assert stage.process(few).tables["grounded"].equals(table.slice(0, 12))

    again = tmp_path / "again"
    assert relforge("ground", "fit", run, "--out", again, "--gold").code == 0
    assert (again / "prior.safetensors").read_bytes() == (out / "prior.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "--out", "x"], "nothing to learn from"),
        (["fit", "RUN"], "--out: missing"),
        (["learn", "RUN", "--out", "x"], "ground learn: unknown"),
        (["fit", "RUN", "--out", "RUN"], "is there already"),
        (["fit", "RUN", "--out", "x", "--also", "[1]"], "--also: expected"),
        (["fit", "RUN", "--out", "x", "--also", "{frm: a}"], "give `run` or `format`"),
        (["fit", "RUN/images", "--out", "x"], "has no shards of table `images`"),
    ],
)
def test_wrong_use_is_one_sentence(run, tmp_path, relforge, arguments, said) -> None:
    given = [str(tmp_path / "x") if one == "x" else one.replace("RUN", str(run)) for one in arguments]
    found = relforge("ground", *given)

    assert (found.code, len(found.err.strip().splitlines())) == (64, 1)
    assert said in found.err
