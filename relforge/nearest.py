"""The name that somebody meant, among those there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

USUAL = {
    "bs": "batch_size",
    "clip": "max_gradient_norm",
    "clip_max_norm": "max_gradient_norm",
    "ema": "average_decay",
    "gpus": "num_gpus",
    "grad_clip": "max_gradient_norm",
    "lr": "learning_rate",
    "lr_backbone": "backbone_learning_rate",
    "max_steps": "steps",
    "num_epochs": "epochs",
    "num_workers": "threads",
    "output_dir": "out",
    "temp": "temperature",
    "wd": "weight_decay",
}
"""What other tools call it -> what it is called here."""


def find_nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that `name` is a slip, another tool's word or an abbreviation of; None where none is near.

    Abbreviations are the initials of the words (`mp` for `max_pairs`) or a part of the name (`norm`).
    """
    known = list(choices)
    usual = USUAL.get(name.lower())
    if usual is not None:
        if usual in known:
            return usual
        found = next((one for one in known if one == usual.rpartition("_")[2]), None)
        if found:
            return found
    if close := get_close_matches(name, known, n=1, cutoff=0.6):
        return close[0]
    for one in known:
        words = one.split("_")
        if len(words) > 1 and name.lower() == "".join(word[0] for word in words if word):
            return one
    parts = [one for one in known if len(name) > 2 and name.lower() in one.lower()]
    return min(parts, key=len) if parts else None
