"""Train a model of whole images on annotated labels (DEFR), and measure it.

relforge train configs/train/defr_hico.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from relforge.trainer import processes
from relforge.trainer.image_training import (
    image_settings,
    read_data,
    start_images,
    supervised,
    train_images,
)
from relforge.trainer.judge import Judge


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe.

    Args:
        values: the settings, see `trainer.image_training.ImageSettings`.

    Returns:
        The finished model's folder.
    """
    settings = image_settings(values, "image_level")
    group = processes.join()
    data = read_data(settings, "gold")
    out = Path(settings.out)
    judge = Judge(settings.judge, data.interactions) if settings.judge and group.first else None
    if judge is not None:
        judge.measure_model("untrained", start_images(settings, data.interactions)[0])
    model = train_images(settings, data, *supervised(data.states), out, group)
    if judge is not None:
        judge.measure_model("trained", model)
        judge.write(out / "metrics.json")
    return out / "model"


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
