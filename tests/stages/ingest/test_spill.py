"""Records that are grouped by image come back the same whether they fit in memory or not."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.stages.ingest import spill
from relforge.stages.ingest.spill import BOX, RelationBuffer, SpillBuffer


@pytest.fixture(params=[0, 1000, 128 << 20], ids=["on disk", "on disk after a while", "in memory"])
def buffer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SpillBuffer:
    """Three times twenty boxes; the k-th is of image k modulo 7."""
    monkeypatch.setattr(spill, "_IN_MEMORY", request.param)
    monkeypatch.setattr(spill, "_PIECE", 16)
    found = SpillBuffer(BOX)
    for start in range(0, 60, 20):
        rows = np.zeros(20, BOX)
        rows["annotation"] = np.arange(start, start + 20)
        rows["image"] = rows["annotation"] % 7
        found.append(rows)
    return found


def test_a_column_is_every_record_in_source_order(buffer: SpillBuffer) -> None:
    with buffer:
        assert len(buffer) == 60
        assert buffer.column("annotation").tolist() == list(range(60))


def test_records_come_image_by_image_in_source_order_within_each(buffer: SpillBuffer) -> None:
    with buffer:
        buffer.group(buffer.column("image"), 7)

        records, owner, place, source = buffer.of(np.array([5, 2]))

    expected = [*range(5, 60, 7), *range(2, 60, 7)]
    assert records["annotation"].tolist() == source.tolist() == expected
    assert owner.tolist() == [0] * 8 + [1] * 9
    assert place.tolist() == [*range(8), *range(9)]


def test_an_image_without_records_has_none(buffer: SpillBuffer) -> None:
    with buffer:
        buffer.group(buffer.column("image"), 9)

        assert len(buffer.of(np.array([8]))[0]) == 0


def test_relations_keep_what_else_the_file_says_of_them() -> None:
    with RelationBuffer() as relations:
        for texts in ([b"{}", b'{"predicate": "on"}'], [b""], [b"[1]"]):
            numbers = np.arange(len(texts))
            relations.add(numbers, numbers, numbers, texts)
        relations.group(np.array([1, 0, 1, 0]), 2)

        found = relations.of(np.array([0, 1]))[0]

        assert list(relations.payloads(found)) == [b'{"predicate": "on"}', b"[1]", b"{}", b""]
