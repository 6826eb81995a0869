"""Train a student of captions (HTS): labels from the stage `image_labels`, weighted by its votes.

No annotated label is read but by `judge`, which only measures. In a second round the first student,
calibrated on held-out images of the captions' own labels, votes beside the captions.

relforge train configs/train/hts.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from relforge.data.image_loading import logits_of
from relforge.trainer import processes
from relforge.trainer.image_training import (
    as_recogniser,
    image_settings,
    read_data,
    start_images,
    train_images,
)
from relforge.trainer.judge import Judge
from relforge.trainer.pseudo_labels import fit_temperature, held_out_rows, pseudo_targets, vote_again


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe.

    Args:
        values: the settings, see `trainer.image_training.ImageSettings`.

    Returns:
        The folder of the last round's model.
    """
    settings = image_settings(values, "hts")
    group = processes.join()
    data = read_data(settings, "image_labels")
    if data.votes is None:
        raise ValueError("data.labels: hts learns from image_labels, the captions' labels; leave it out")
    out = Path(settings.out)
    judge = Judge(settings.judge, data.interactions) if settings.judge and group.first else None
    if judge is not None:
        judge.measure_votes()
        judge.measure_model("untrained", start_images(settings, data.interactions)[0])
    learned, held = data, np.zeros(len(data), bool)
    if settings.rounds == 2:
        held = held_out_rows(data.image_ids, settings.held_out)
        learned = data.take(np.flatnonzero(~held))
    folder = out if settings.rounds == 1 else out / "round1"
    student = train_images(settings, learned, *pseudo_targets(learned, settings.empty_weight), folder, group)
    if judge is not None:
        judge.measure_model("student", student)
    if settings.rounds == 2:
        parts = list(logits_of(as_recogniser(student), data, settings.batch.size, str(group.device)))
        logits = torch.cat(parts).numpy()
        temperature = fit_temperature(logits[held], data.take(np.flatnonzero(held)))
        again = vote_again(data, logits, temperature, settings.revote)
        targets = pseudo_targets(again, settings.empty_weight)
        student = train_images(replace(settings, seed=settings.seed + 1), again, *targets, out, group)
        if judge is not None:
            judge.measure_model("student, second round", student)
    if judge is not None:
        judge.write(out / "metrics.json")
    return out / "model"


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
