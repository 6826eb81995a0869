"""Relations drawn from a run on one sheet, numbered, to be judged by eye."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from relforge.pipeline.errors import RunError
from relforge.reports.condition import check_condition
from relforge.reports.datasets import open_datasets
from relforge.reports.query import connect, select
from relforge.reports.view.run_view import SHOWN, RunView

SIDE, GAP, COLUMNS = 300, 10, 6
"""Pixels of a tile and between tiles; tiles of a row."""
_PIXELS = 1600
"""Longer side of the image that a tile is cut from."""
_LINE, _LINES, _LETTERS = 16, 5, 46
_SUBJECT, _OBJECT = (214, 39, 40), (31, 90, 200)

Drawn = tuple[str, int, str, int]
"""image_id, subject box, predicate, object box."""


def draw_sheet(run: str, count: int, seed: int, where: str | None = None) -> tuple[Image.Image, list[Drawn]]:
    """A sheet of `count` relations of a run.

    Each tile is the part of the image around the two boxes (subject red, object blue), over the number, the
    relation by classes, what it was chosen by and the first caption that states it.

    Args:
        run: run folder; its relations, or scores or candidates where it stops earlier.
        count, seed: how many, drawn by a hash of relation and seed: the same each time, and more contain
            fewer.
        where: a condition on rows of that table.

    Returns:
        the sheet and its relations, in the order of their numbers (from 1).

    Raises:
        RunError, QueryError: see `RunView`; no relation to draw.
    """
    drawn = _draw(run, count, seed, where)
    view = RunView(run, only=sorted({one[0] for one in drawn}))
    scenes = {scene["id"]: scene for scene in view.describe()}
    rows = -(-len(drawn) // COLUMNS)
    height = SIDE + _LINE * _LINES + GAP
    across = min(COLUMNS, len(drawn)) * (SIDE + GAP) + GAP
    sheet = Image.new("RGB", (across, rows * height + GAP), "white")
    for index, one in enumerate(drawn):
        corner = GAP + index % COLUMNS * (SIDE + GAP), GAP + index // COLUMNS * height
        image, reason = view.shrink(one[0], _PIXELS)
        _tile(sheet, corner, image, reason, scenes[one[0]], one, index + 1)
    return sheet, drawn


def _draw(run: str, count: int, seed: int, where: str | None) -> list[Drawn]:
    datasets = open_datasets(run)[0]
    shown = next((name for name in SHOWN if name in datasets), None)
    if shown is None:
        raise RunError(f"{run} has no {SHOWN[0]} yet, so there is nothing to draw from")
    condition = "true" if where is None else check_condition(where, datasets)
    key = "image_id, subject_box, predicate, object_box"
    found = select(
        connect(datasets),
        f"SELECT {key} FROM {shown} WHERE {condition} "
        f"ORDER BY md5(concat_ws('/', {int(seed)}, {key})), {key} LIMIT {int(count)}",
    ).to_pylist()
    if not found:
        held = "" if where is None else f" where {where!r} holds"
        raise RunError(f"{run} has no row of {shown}{held} to draw; relforge inspect shows its rows")
    return [tuple(row.values()) for row in found]


def _tile(
    sheet: Image.Image,
    corner: tuple[int, int],
    image: Image.Image | None,
    reason: str,
    scene: Mapping[str, Any],
    one: Drawn,
    number: int,
) -> None:
    """Paste one relation at a corner of the sheet."""
    boxes = {box["id"]: box for box in scene["boxes"]}
    subject, object_ = boxes[one[1]], boxes[one[3]]
    if image is None:
        part = Image.new("RGB", (SIDE, SIDE), (235, 235, 235))
        lines = textwrap.wrap(f"not shown: {reason}", _LETTERS)
        ImageDraw.Draw(part).text((8, 8), "\n".join(lines), fill="black", font=_font(12))
    else:
        scale = image.width / scene["width"]
        pair = [[side * scale for side in box["xywh"]] for box in (subject, object_)]
        part = cut_pair(image, pair)
    sheet.paste(part, (corner[0] + (SIDE - part.width) // 2, corner[1] + (SIDE - part.height) // 2))
    (relation,) = [
        row
        for row in scene["relations"]
        if row["verdict"] != "missed" and (row["subject"], row["predicate"], row["object"]) == one[1:]
    ]
    measure = "quality" if "tagger" in relation else "score"
    score = "" if relation["score"] is None else f"{measure} {relation['score']:.2f}, "
    texts = dict(scene["captions"])
    said = [texts[caption] for caption, _ in relation["evidence"]]
    lines = [
        f"{number}. {subject['category']} {one[2]} {object_['category']}",
        f"image {one[0]}, boxes {one[1]} {one[3]}, {score}said {relation['support']}x",
        *(textwrap.wrap(said[0], _LETTERS) if said else ()),
    ]
    pen = ImageDraw.Draw(sheet)
    for place, line in enumerate(lines[:_LINES]):
        down = corner[1] + SIDE + place * _LINE
        pen.text((corner[0], down), line, fill=(20, 20, 20), font=_font(14 if place == 0 else 12))


def cut_pair(image: Image.Image, pair: Sequence[Sequence[float]]) -> Image.Image:
    """The image around two boxes (xywh, its pixels), with both drawn, at most SIDE a side."""
    left, top = min(x for x, _, _, _ in pair), min(y for _, y, _, _ in pair)
    right, bottom = max(x + w for x, _, w, _ in pair), max(y + h for _, y, _, h in pair)
    margin = 0.25 * max(right - left, bottom - top)
    frame = (
        max(0, int(left - margin)),
        max(0, int(top - margin)),
        min(image.width, math.ceil(right + margin)),
        min(image.height, math.ceil(bottom + margin)),
    )
    part = image.crop(frame)
    scale = SIDE / max(part.size)
    part = part.resize((max(1, round(part.width * scale)), max(1, round(part.height * scale))))
    pen = ImageDraw.Draw(part)
    for (x, y, w, h), colour in zip(pair, (_SUBJECT, _OBJECT), strict=True):
        x0, y0 = (x - frame[0]) * scale, (y - frame[1]) * scale
        pen.rectangle((x0, y0, x0 + w * scale, y0 + h * scale), outline="white", width=4)
        pen.rectangle((x0 + 1, y0 + 1, x0 + w * scale - 1, y0 + h * scale - 1), outline=colour, width=2)
    return part


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
