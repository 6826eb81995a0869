"""Writes the model folder that the parser `relforge` reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from relforge.stages.parse.learned.files import CARD, TABLES, WEIGHTS
from relforge.stages.parse.learned.model import GraphTagger, WordEncoder
from relforge.stages.parse.learned.tables import Tables


def save_model(
    folder: Path, words: WordEncoder, tagger: GraphTagger, tables: Tables, card: dict[str, Any]
) -> None:
    """Write a model folder; weights are stored as half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"words.{k}": v for k, v in words.state_dict().items()}
    state |= {f"tagger.{k}": v for k, v in tagger.state_dict().items()}
    save_file({k: v.detach().half().contiguous() for k, v in state.items()}, str(folder / WEIGHTS))
    text = json.dumps(asdict(tables), ensure_ascii=False, indent=0)
    (folder / TABLES).write_text(text + "\n", encoding="utf-8")
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
