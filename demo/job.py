"""The demo as a job: a drawn dataset in Visual Genome form and a config of the usual kind.

Nothing in it is special to the demo but the weights it names, which are shipped with the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from relforge.demo.world.dataset import write_split

SPLIT = "detection"
SHARD_IMAGES = 16
IMAGE_SIZE = {"short_side": 96, "long_side": 128}
"""The size the shipped tagger was trained at, pixels."""
WEIGHTS = Path(__file__).parent / "weights"
"""Folders of the shipped models: `blip`, `rtagger`, `parsed`; each has a card with its command."""

QUALITY = WEIGHTS / "quality.json"
"""What select chooses by; fitted on other images by `benchmarks/learned_quality.py --ship`."""


def describe_stages(drawn: Path) -> dict[str, dict[str, Any]]:
    """Stage -> backend and options, as in a config.

    Args:
        drawn: folder of the split whose images are labelled.
    """
    return {
        # a small captioner is right more often when it samples from the likeliest words only
        "caption": {"backend": "blip", "model": str(WEIGHTS / "blip"), "captions": 20, "top_p": 0.6},
        "parse": {"backend": "relforge", "predicate_form": "progressive"},
        "match": {"backend": "synonyms", "synonyms": [str(drawn / "synonyms.json")]},
        # the quality weighs the prior and the score, so neither leaves anything out
        "ground": {"backend": "learned", "floor": 0.0},
        "tag": {"backend": "rtagger", "model": str(WEIGHTS / "rtagger"), "floor": 0.0, **IMAGE_SIZE},
        "select": {"backend": "select", "quality": "learned", "weights": str(QUALITY)},
    }


def write_job(folder: Path, images: int) -> Path:
    """Draw the images and write the config that labels them. The same arguments give the same files.

    Args:
        folder: gets `world/` (images, boxes, captions), `demo.yaml`, and later `run/`.
        images: how many to draw.

    Returns:
        The config file.
    """
    drawn = write_split(folder / "world", SPLIT, images, seed=0)
    values = {
        "dataset": {
            "name": "world",
            "split": SPLIT,
            # this layout brings the gold relations along: no stage reads them, the report scores with them
            "format": "visual_genome",
            "annotations": str(drawn / "scene_graphs.json"),
            "images": str(drawn / "images" / "{image_id:0>6}.jpg"),
        },
        "run": {"folder": str(folder / "run"), "shard_images": SHARD_IMAGES},
        "stages": describe_stages(drawn),
    }
    config = folder / "demo.yaml"
    config.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return config
