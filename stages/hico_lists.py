"""HICO-DET's own lists: objects, verbs, interactions; unseen ones of four zero-shot splits, few-shot ones.

From the benchmark's `anno_bbox.mat` (https://www-personal.umich.edu/~ywchao/hico/), numbered as PPDM's
`trainval_hico.json` and every reader of it: objects by COCO's category ids, verbs from 1 in HICO's order.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def read_lists() -> dict[str, Any]:
    """`objects` (80 names), `coco_ids` (of each), `verbs` (117 prompts), `interactions` (600 of verb and
    object place), `unseen` (split -> interactions) and `few` (k -> interactions with at most k training
    images in HICO's labels of whole images, as DEFR's release lists them)."""
    document: dict[str, Any] = json.loads(Path(__file__).with_name("hico_lists.json").read_text())
    return document


def object_ids() -> dict[str, int]:
    """Object name -> COCO's category id, 1 to 90."""
    lists = read_lists()
    return dict(zip(lists["objects"], lists["coco_ids"], strict=True))


def verb_ids() -> dict[str, int]:
    """Verb ("ride", "sit on", "no interaction") -> 1 to 117."""
    return {verb: number for number, verb in enumerate(read_lists()["verbs"], 1)}
