"""Crops are taught apart from the tagger: they are what it sees, and folded norms are the same function."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from relforge.demo.world.dataset import write_split
from relforge.models.blocks.pair_pixels import PairPixels, Shown, crop_pairs
from tests.fixtures import tiny_tagger

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("teach_crops")


def test_folded_norms_change_nothing(script: Any) -> None:
    torch.manual_seed(0)
    pixels = PairPixels(16, script.POINTS)
    student = script.Student(pixels, 4)
    crops = torch.randn(6, 5, script.POINTS, script.POINTS)
    for _ in range(20):
        student(crops + 0.5, torch.randn(6, 4))  # the norms see some batches
    student.eval()
    with torch.no_grad():
        maps = crops
        for convolution, norm in zip(student.convolutions, student.norms, strict=True):
            maps = norm(convolution(maps)).relu()

        student.fold()

        torch.testing.assert_close(pixels.convolutions[:-1](crops), maps, atol=1e-4, rtol=1e-4)


def test_crops_are_those_that_the_tagger_sees(script: Any, tmp_path: Path) -> None:
    # given a pair at the left edge of an image: its square reaches beyond
    pixels = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "000001.jpg", "JPEG", quality=95)
    with Image.open(tmp_path / "000001.jpg") as file:
        seen = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)[None].float()
    rows = [{"image_id": "1", "box_id": i, "x": x, "y": 5, "w": 20, "h": 30} for i, x in enumerate((0, 10))]
    said = pa.table({"image_id": ["1"], "subject_box": [1], "object_box": [0]})

    crops = script.normalise(script.crop(said, {"boxes": pa.Table.from_pylist(rows)}, tmp_path))

    first, second = (torch.tensor([[[x / 80, 5 / 40, (x + 20) / 80, 35 / 40]]]) for x in (10, 0))
    images = (seen / 255 - torch.tensor(script.IMAGENET_MEAN)[:, None, None]) / torch.tensor(
        script.IMAGENET_STD
    )[:, None, None]
    expected = crop_pairs(first, second, Shown(images, torch.ones(1, 2)), script.POINTS)[0]
    torch.testing.assert_close(crops, expected, atol=0.01, rtol=0)


def test_the_tagger_gets_convolutions_whose_result_nothing_reads_yet(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tagger = tiny_tagger.folder(tmp_path / "tagger")
    drawn = write_split(tmp_path / "world", "vg-like", 80, size=64)
    arguments = ["--tagger", str(tagger), "--gold", str(drawn), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["teach_crops.py", *arguments, "--epochs", "1", "--json"])
    monkeypatch.setattr(script, "BATCH", 10**6)
    with pytest.raises(SystemExit):
        script.main()
    assert "and a batch has 1000000" in capsys.readouterr().err
    monkeypatch.setattr(script, "BATCH", 16)

    script.main()

    assert json.loads(capsys.readouterr().out)[0]["ratio"] == 1

    before, after = (script.load_model(str(one)) for one in (tagger, tmp_path / "out"))
    assert after.blueprint.sizes.pair_pixels == script.POINTS
    kept = after.model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in before.model.state_dict().items())
    assert not kept["pair_pixels.direct.layers.1.weight"].any()
