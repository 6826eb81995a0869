"""The mean of models that were trained on from one model.

    python -m relforge.trainer.parser.average DIR DIR ... --dev FILE.csv --out DIR

Models with a common start lie in one valley of the loss, and the mean of their weights generalises as their
ensemble does, at the cost of one (Wortsman et al., Model soups, ICML 2022). The start itself may be among
them. `--dev` is used as in `train`: every other caption chooses `min_confidence`, unless it is given, and all
are measured.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from relforge.stages.parse.learned.files import WEIGHTS, load_model, read_card
from relforge.trainer.parser.gold import read_gold
from relforge.trainer.parser.train import choose_and_measure, save_model


def average(
    folders: Sequence[Path], dev: Path, out: Path, min_confidence: float | None = None
) -> dict[str, object]:
    """Write the folder of the mean; returns its card.

    Args:
        min_confidence: what a relation needs; None: chosen on every other caption of `dev`.

    Raises:
        ValueError: the models have other sizes or tables.
    """
    loaded = [load_model(folder) for folder in folders]
    cards = [read_card(folder) for folder in folders]
    network, tables = loaded[0]
    for folder, (_, other), card in zip(folders, loaded, cards, strict=True):
        if other != tables or card["sizes"] != cards[0]["sizes"]:
            raise ValueError(
                f"{folder}: other sizes or tables than {folders[0]}; average what was trained from one start"
            )
    for name in ("words", "tagger"):
        states = [getattr(one, name).state_dict() for one, _ in loaded]
        mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]}
        getattr(network, name).load_state_dict(mean)
    names = " ".join(folder.name for folder in folders)
    given = "" if min_confidence is None else f" --min-confidence {min_confidence}"
    card = {
        "model": cards[0]["model"],
        "command": f"python -m relforge.trainer.parser.average {names} --dev {dev.name} --out {out.name}"
        + given,
        "sha256": {dev.name: hashlib.sha256(dev.read_bytes()).hexdigest()},
        "sizes": cards[0]["sizes"],
        "parameters": cards[0]["parameters"],
        "torch": torch.__version__,
        "averaged": [
            {"sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(), "card": card}
            for folder, card in zip(folders, cards, strict=True)
        ],
    }
    save_model(out, network.words, network.tagger, tables, card)
    choose_and_measure(out, read_gold(dev), card, min_confidence)
    return card


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m relforge.trainer.parser.average", description="Average parsers of one start."
    )
    parser.add_argument("folders", type=Path, nargs="+", help="model folders")
    parser.add_argument(
        "--dev", type=Path, required=True, help="gold captions to choose and measure on (CSV)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--min-confidence", type=float, help="what a relation needs, instead of a choice on dev"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    print(average(arguments.folders, arguments.dev, arguments.out, arguments.min_confidence)["dev"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
