"""A page reads facts of all its images at once, a folder or a server those of a chunk: the same facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relforge.pipeline.run.execute import run
from relforge.reports.view.run_view import RunView
from tests.fixtures.tiny import tiny_job


@pytest.mark.parametrize("where", [None, "support > 0"])
def test_facts_of_all_images_are_those_of_the_chunks(
    tmp_path: Path, source: Callable[..., Path], where: str | None
) -> None:
    run(tiny_job(tmp_path / "run", source(images=12), shard_images=5), executor="loop")
    view = RunView(str(tmp_path / "run"), max_images=9, where=where)

    by_chunk = {scene["id"]: scene for chunk in range(view.chunks) for scene in view.scenes(chunk)}

    assert view.chunks == 3
    assert len(view.images) == 9
    assert any(scene["relations"] for scene in by_chunk.values())
    assert view.describe() == [by_chunk[one] for one in view.images]


@pytest.mark.parametrize(
    ("payload", "why"), [(0, "neither a uri nor embedded bytes"), (64, "no image of a format")]
)
def test_pixels_in_the_table_are_found_after_the_facts(
    tmp_path: Path, source: Callable[..., Path], payload: int, why: str
) -> None:
    run(tiny_job(tmp_path / "run", source(images=4), payload=payload), executor="loop")
    view = RunView(str(tmp_path / "run"))
    view.describe()

    _, reason = view.encode(view.images[-1], 10)

    assert why in reason
