"""How COCO-format files are read here."""

from __future__ import annotations

from collections.abc import Iterator

from relforge.kernels.native.build import SCAN
from relforge.kernels.native.loading import why_unavailable
from relforge.pipeline.doctor.check import Check


def check_reader() -> Iterator[Check]:
    """Natively, or by Python with the same result."""
    reason = why_unavailable(SCAN)
    if reason is None:
        yield Check("ingest", "COCO reader", "ok", "native")
    else:
        yield Check("ingest", "COCO reader", "absent", f"Python reads, several times slower: {reason}")
