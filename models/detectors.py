"""A detector of boxes as the start of a pair detector, under its authors' names.

Encoder and backbone are taken over, the decoder by every decoder, box heads and start points by both roles,
the query table as position and content (and relation content), and the object heads' rows of COCO's classes
by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_DECODER, _POINTS = "transformer.decoder.layers.", "transformer.reference_points."

_COCO = """
1 person, 2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat, 10 traffic light,
11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench, 16 bird, 17 cat, 18 dog, 19 horse, 20 sheep, 21
cow, 22 elephant, 23 bear, 24 zebra, 25 giraffe, 27 backpack, 28 umbrella, 31 handbag, 32 tie, 33
suitcase, 34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, 40 baseball glove,
41 skateboard, 42 surfboard, 43 tennis racket, 44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50
spoon, 51 bowl, 52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, 59 pizza,
60 donut, 61 cake, 62 chair, 63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet, 72 tv, 73
laptop, 74 mouse, 75 remote, 76 keyboard, 77 cell phone, 78 microwave, 79 oven, 80 toaster, 81 sink, 82
refrigerator, 84 book, 85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush
"""
COCO_CATEGORIES = {
    name: int(number)
    for number, name in (entry.split(maxsplit=1) for entry in " ".join(_COCO.split()).split(", "))
}
"""Name -> category id, the row of a DETR's class head."""
_COCO_ROWS = 91


def coco_rows(count: int) -> tuple[str, ...]:
    """A class name for each of `count` rows: COCO's for the 91 rows of a detector that was trained on it,
    "unused 12" where no category has that id; otherwise "class 0" and so on."""
    names = {number: name for name, number in COCO_CATEGORIES.items()} if count == _COCO_ROWS else {}
    other = "unused" if names else "class"
    return tuple(names.get(row, f"{other} {row}") for row in range(count))


def is_deformable_detr(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are those of a Deformable DETR under its authors' names."""
    own = (f"{_POINTS}weight", "class_embed.0.weight", "bbox_embed.0.layers.0.weight", "query_embed.weight")
    return all(key in state for key in own) and "sub_bbox_embed.0.layers.0.weight" not in state


def spread_over_roles(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The detector's weights under every name that the pair detectors' published files have for them."""
    spread: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.startswith(_DECODER):
            rest = key.removeprefix(_DECODER)
            names = [f"transformer.{which}decoder.layers.{rest}" for which in ("", "ho_", "verb_")]
        elif key.startswith(_POINTS):
            rest = key.removeprefix(_POINTS)
            names = [f"transformer.reference_points_{role}.{rest}" for role in ("sub", "obj")]
            spread[f"transformer.reference_points_subobj.{rest}"] = torch.cat([tensor, tensor])
        elif key.startswith("bbox_embed."):
            names = [f"sub_{key}", f"obj_{key}"]
        elif re.match(r"query_embed|class_embed|transformer\.decoder\.", key):
            continue  # see `detector_tables`; and the second copy of the box heads
        else:
            names = [key]
        spread |= dict.fromkeys(names, tensor)
    return spread


def detector_tables(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    classes: Sequence[str],
    rows_of: Mapping[str, int] = COCO_CATEGORIES,
) -> dict[str, Tensor]:
    """Query tables and object heads of a pair detector from a detector's.

    Anchors, where queries have them, are centred on the detector's start points and keep their sizes.

    Args:
        state: of the detector; its queries are position and content.
        expected: the pair detector's own weights, our names.
        classes: the pair detector's; those that the detector has not keep their rows, as does "no objects".
        rows_of: the detector's classes, name -> row of its class heads.
    """
    table = state["query_embed.weight"]
    position, content = table.chunk(2, 1)
    found = {}
    tables = {
        "queries.table.weight": torch.cat([table, content], 1),
        "queries.weight": table,
        "queries.content.weight": content,
    }
    if "queries.anchors.weight" in expected:
        anchors = expected["queries.anchors.weight"].clone()
        points = position @ state[f"{_POINTS}weight"].T + state[f"{_POINTS}bias"]  # N x 2, before the sigmoid
        count = min(len(points), len(anchors))
        anchors[:count, :2] = points[:count]
        tables |= {"queries.anchors.weight": anchors, "queries.relation_content.weight": content}
    for name, rows in tables.items():
        if name in expected and rows.shape[1:] == expected[name].shape[1:]:
            found[name] = expected[name].clone()
            count = min(len(rows), len(found[name]))
            found[name][:count] = rows[:count]
    known = [(row, rows_of[name]) for row, name in enumerate(classes) if name in rows_of]
    for name, head in expected.items():
        match = re.match(r"classifier\.object_heads\.(\d+)\.(weight|bias)$", name)
        source = state.get(f"class_embed.{match[1]}.{match[2]}") if match else None
        if not known or source is None or source.shape[1:] != head.shape[1:]:
            continue
        found[name] = head.clone()
        for row, number in known:
            found[name][row] = source[number]
    return found
