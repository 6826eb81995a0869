"""Model folders: weights as safetensors, tables and card as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relforge.stages.parse.learned.lexicon import SHAPES, Lexicon
from relforge.stages.parse.learned.tables import Tables

if TYPE_CHECKING:
    from relforge.stages.parse.learned.model import GraphTagger, WordEncoder
    from relforge.stages.parse.learned.network import Network

EMBEDDED = Path(__file__).parent / "weights"
"""The model that comes with relforge."""

WEIGHTS, TABLES, CARD = "parser.safetensors", "tables.json", "card.json"


def model_files(folder: Path) -> list[Path]:
    """Files whose content decides the output.

    Raises:
        ValueError: one is not there.
    """
    paths = [folder / WEIGHTS, folder / TABLES, folder / CARD]
    for path in paths:
        if not path.is_file():
            raise ValueError(
                f"parser model: {path} not found; give a folder written by "
                "`python -m relforge.trainer.parser.train`, or leave `model` out for the embedded one"
            )
    return paths


def build(sizes: dict[str, Any], tables: Tables, dropout: float = 0.0) -> tuple[WordEncoder, GraphTagger]:
    """Untrained modules. `sizes`: width, hidden, layers, pair, buckets."""
    from relforge.stages.parse.learned.model import GraphTagger, WordEncoder

    words = WordEncoder(len(tables.known), sizes["buckets"], SHAPES, sizes["width"])
    tagger = GraphTagger(
        width=sizes["width"],
        hidden=sizes["hidden"],
        layers=sizes["layers"],
        pair=sizes["pair"],
        frames=len(tables.frames),
        implied=len(tables.implied),
        dropout=dropout,
    )
    return words, tagger


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder."""
    card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return card


def load_model(folder: Path) -> tuple[Network, Tables]:
    """Read a model folder."""
    from safetensors.torch import load_file

    from relforge.stages.parse.learned.network import Network

    weights, tables_path, _ = model_files(folder)
    card = read_card(folder)
    tables = Tables.load(tables_path)
    words, tagger = build(card["sizes"], tables)
    state = {key: value.float() for key, value in load_file(str(weights)).items()}
    for prefix, module in (("words.", words), ("tagger.", tagger)):
        module.load_state_dict(
            {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        )
    takes_filler = np.array(["_" in frame.split() for frame in tables.frames])
    return Network(words, tagger, Lexicon(tables.known, card["sizes"]["buckets"]), takes_filler), tables
