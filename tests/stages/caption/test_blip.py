"""The caption stage: a shard of images in, captions and an account of every image out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from relforge.stages.contract import Stage, StageResult
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS


def png(n: int, width: int = 40, height: int = 30) -> bytes:
    noise = np.random.default_rng(n).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def images(*rows: tuple[str, str | None, bytes | None]) -> dict[str, pa.Table]:
    full = [
        {"image_id": i, "dataset": "d", "split": "s", "uri": uri, "width": 40, "height": 30, "bytes": data}
        for i, uri, data in rows
    ]
    return {"images": pa.Table.from_pylist(full, schema=SCHEMAS["images"])}


def ready(folder: Path, **options: Any) -> Stage:
    stage = build("caption", "blip", model=str(folder), rows=32, **options)
    stage.setup()
    return stage


def balanced(result: StageResult, rows: int) -> bool:
    return result.kept + sum(result.dropped.values()) + len(result.quarantined) == rows


def test_every_image_gets_its_captions(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png(1))
    result = ready(folder, drop=[]).process(images(("a", None, png(0)), ("b", str(tmp_path / "b.png"), None)))
    table = result.tables["captions"]
    assert table.schema == SCHEMAS["captions"]
    assert table["image_id"].to_pylist() == ["a"] * 10 + ["b"] * 10
    assert table["caption_id"].to_pylist() == [*range(10), *range(10)]
    assert set(table["source"].to_pylist()) == {folder.name}
    assert all(logprob < 0 for logprob in table["logprob"].to_pylist())
    assert not any(text.startswith("a picture of") for text in table["text"].to_pylist())
    assert balanced(result, 2)


def test_images_that_cannot_be_read_are_quarantined_one_by_one(folder: Path) -> None:
    rows = images(
        ("cut", None, png(2)[:200]),
        ("good", None, png(0)),
        ("gone", "/nowhere/at/all.jpg", None),
        ("none", None, None),
        ("zero", None, b""),
    )
    result = ready(folder).process(rows)
    assert [(q.record["image_id"], q.reason) for q in result.quarantined] == [
        ("cut", "truncated"),
        ("gone", "missing_file"),
        ("none", "no_image"),
        ("zero", "empty_file"),
    ]
    assert set(result.tables["captions"]["image_id"].to_pylist()) == {"good"}
    assert balanced(result, 5)


def test_threads_change_neither_the_captions_nor_the_order_of_the_account(folder: Path) -> None:
    rows = images(*((f"{n:02}", None, png(n) if n % 3 else png(n)[:100]) for n in range(24)))
    one, many = (ready(folder, captions=2, drop=[], threads=threads).process(rows) for threads in (1, 8))
    assert one == many
    assert [q.record["image_id"] for q in many.quarantined] == [f"{n:02}" for n in range(0, 24, 3)]


def test_shard_boundaries_and_reruns_do_not_show(folder: Path) -> None:
    rows = [(str(n), None, png(n)) for n in range(9)]
    stage = ready(folder, captions=4)
    whole = stage.process(images(*rows)).tables["captions"]
    parts = [stage.process(images(*rows[at : at + 2])).tables["captions"] for at in range(0, 9, 2)]
    assert pa.concat_tables(parts) == whole
    assert ready(folder, captions=4).process(images(*rows)).tables["captions"] == whole


def test_the_seed_is_stored_and_changes_the_captions(folder: Path) -> None:
    one, two = (ready(folder, seed=s).process(images(("a", None, png(0)))).tables["captions"] for s in (1, 2))
    assert set(one["seed"].to_pylist()) == {1}
    assert one["text"] != two["text"]


def test_beam_mode_gives_the_one_likeliest_caption(folder: Path) -> None:
    result = ready(folder, mode="beam", drop=[]).process(images(("a", None, png(0)), ("b", None, png(1))))
    assert result.tables["captions"]["caption_id"].to_pylist() == [0, 0]


def test_the_sidecar_will_say_what_computed_the_gemms(folder: Path, gemm: str) -> None:
    for dtype, precision in (("float32", "split"), ("bfloat16", "bfloat16")):
        notes = ready(folder, dtype=dtype).process(images(("a", None, png(0)))).notes
        expected = f"amx, {precision}" if gemm == "amx" else "torch"
        assert notes.items() >= {"device": "cpu", "dtype": dtype, "gemm": expected}.items()


def test_faulty_captions_are_counted_and_left_out_keeping_the_others_ids(folder: Path) -> None:
    rows = images(*((str(n), None, png(n)) for n in range(8)))
    everything = ready(folder, drop=[]).process(rows)
    sound = ready(folder).process(rows)
    faults = everything.notes["caption_faults"]
    assert faults == sound.notes["caption_faults"]
    assert faults["repeated_ngram"] > 0
    assert everything.notes["captions_dropped"] == 0
    assert sound.notes["captions_dropped"] == sum(faults.values())
    assert sound.tables["captions"].num_rows == 80 - sum(faults.values())
    kept = set(
        zip(*(sound.tables["captions"][c].to_pylist() for c in ("image_id", "caption_id")), strict=True)
    )
    assert kept < set(
        zip(*(everything.tables["captions"][c].to_pylist() for c in ("image_id", "caption_id")), strict=True)
    )
    assert balanced(sound, 8)


def test_an_empty_shard_gives_an_empty_table(folder: Path) -> None:
    result = ready(folder).process(images())
    assert result.tables["captions"].schema == SCHEMAS["captions"]
    assert result.tables["captions"].num_rows == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "greedy"}, "choose nucleus or beam"),
        ({"captions": 0}, "captions is 0"),
        ({"dtype": "int8"}, "choose auto, float32 or bfloat16"),
        ({"top_p": 2.0}, "top_p is 2.0"),
        ({"drop": ["boring"]}, "unknown reasons"),
    ],
)
def test_impossible_options_are_refused_before_anything_loads(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build("caption", "blip", **options)
