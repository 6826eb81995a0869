"""What is written down about each family: where it comes from, its size, published numbers, weights that fit.

`catalogue.json` holds it, so that a list of the zoo needs neither torch nor a model. Parameters and
floating-point operations are computed by `models/figures.py`, which rewrites them:

    python -m relforge.models.figures
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

FILE = Path(__file__).with_name("catalogue.json")


class Entry(TypedDict):
    """One family.

    Args:
        title: its name in print.
        paper, source: where it was published, and its authors' code.
        finds: `pairs`, `boxes`, or what else.
        published: numbers of its authors, one per benchmark and backbone, in per cent; none measured here.
        weights: which files load, beside a folder of `relforge train`.
        counted: what `parameters` and `gflops` are of, where it is not ResNet-50 with the labels of HICO-DET
            (COCO for those that find boxes) and an image of 800 x 1216 pixels; else empty.
        parameters: of the published model.
        gflops: multiplications and additions, in 1e9, of one image; the texts of labels, encoded once for all
            images, do not count.
    """

    title: str
    paper: str
    source: str
    finds: str
    published: list[dict[str, Any]]
    weights: list[str]
    counted: str
    parameters: int
    gflops: float


@cache
def read_catalogue() -> dict[str, Entry]:
    """Every family that is written down, by its name in the zoo."""
    found: dict[str, Entry] = json.loads(FILE.read_text(encoding="utf-8"))
    return found
