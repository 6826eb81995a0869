"""The mean of models of one start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from relforge.stages.parse.learned.files import build, load_model, read_card
from relforge.stages.parse.triples import read_triples
from relforge.trainer.parser.align import align_all
from relforge.trainer.parser.average import average
from relforge.trainer.parser.gold import GoldCaption
from relforge.trainer.parser.tables import count_tables
from relforge.trainer.parser.train import save_model

SIZES = {"width": 16, "hidden": 12, "layers": 1, "pair": 12, "buckets": 64}
LINE = 'a man on a horse,"( man , on , horse )"'


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    pair = GoldCaption("a man on a horse", read_triples("( man , on , horse )"))
    tables = count_tables(align_all([pair, pair])[0])
    for seed in (1, 2):
        torch.manual_seed(seed)
        card = {"model": "parser", "sizes": SIZES, "parameters": 1, "seed": seed}
        save_model(tmp_path / str(seed), *build(SIZES, tables), tables, card)
    (tmp_path / "dev.csv").write_text("\n".join(["caption,scene_graph", LINE, LINE]) + "\n")
    return [tmp_path / "1", tmp_path / "2"]


def test_weights_are_the_mean_and_the_card_names_the_members(folders: list[Path], tmp_path: Path) -> None:
    average(folders, tmp_path / "dev.csv", tmp_path / "mean")

    first, second, mean = (load_model(folder)[0] for folder in (*folders, tmp_path / "mean"))
    for key, found in mean.tagger.state_dict().items():
        wanted = (first.tagger.state_dict()[key] + second.tagger.state_dict()[key]) / 2
        assert torch.allclose(found, wanted, atol=2e-3), key
    card = read_card(tmp_path / "mean")
    assert [member["card"]["seed"] for member in card["averaged"]] == [1, 2]
    assert 0 <= card["min_confidence"] <= 0.6
    assert {"dev", "dev_not_chosen_on"} <= set(card)
    assert average(folders, tmp_path / "dev.csv", tmp_path / "given", 0.27)["min_confidence"] == 0.27


def test_models_of_other_tables_are_refused(folders: list[Path], tmp_path: Path) -> None:
    tables = json.loads((folders[1] / "tables.json").read_text())
    (folders[1] / "tables.json").write_text(json.dumps(tables | {"verbs": ["ride"]}))

    with pytest.raises(ValueError, match="other sizes or tables"):
        average(folders, tmp_path / "dev.csv", tmp_path / "mean")
