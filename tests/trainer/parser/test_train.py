"""Training from a gold file to a model folder that parses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from relforge.stages.parse.learned.parser import LearnedParser
from relforge.stages.parse.triples import read_triples
from relforge.trainer.parser.align import align_all
from relforge.trainer.parser.examples import batches, example, joined
from relforge.trainer.parser.gold import GoldCaption
from relforge.trainer.parser.scores import gold_style
from relforge.trainer.parser.tables import count_tables
from relforge.trainer.parser.train import main

PEOPLE, ACTS, THINGS = ("man", "girl", "dog"), ("holding", "touching"), ("ball", "kite", "cup", "box")
LEMMAS = {"holding": "hold", "touching": "touch"}


def gold_rows() -> list[tuple[str, str]]:
    return [
        (f"a {who} {act} a red {thing}", f"( {who} , {LEMMAS[act]} , {thing} ) , ( {thing} , is , red )")
        for who in PEOPLE
        for act in ACTS
        for thing in THINGS
    ] + [(f"a {thing} on a {who}", f"( {thing} , on , {who} )") for who in PEOPLE for thing in THINGS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("train")
    gold = where / "gold.csv"
    lines = [f'1,1,{caption},"{graph}"' for caption, graph in gold_rows()]
    gold.write_text("\n".join(["image_id,region_id,caption,scene_graph", *lines]) + "\n")
    main(
        f"--train {gold} --dev {gold} --out {where / 'model'} --seed 3 --epochs 40 --batch-size 16 "
        "--rate 1e-2 --width 24 --hidden 24 --pair 24 --buckets 256 --dropout 0.05 --average 0.8".split()
    )
    return where / "model"


def test_a_small_world_is_learnt_whole(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())

    assert card["dev"]["exact"] > 0.9
    assert card["seed"] == 3
    assert len(card["sha256"]["gold.csv"]) == 64


def test_the_folder_is_a_parser(folder: Path) -> None:
    parser = LearnedParser(str(folder))
    parser.setup()

    (found,) = gold_style(parser, ["a girl holding a red kite"])

    assert found == {("girl", "hold", "kite"), ("kite", "is", "red")}


def test_joined_captions_keep_their_own_relations_and_gain_none() -> None:
    corpus, _ = align_all([GoldCaption(caption, read_triples(graph)) for caption, graph in gold_rows()])
    tables = count_tables(corpus)
    index = {word: i for i, word in enumerate(sorted({w for a in corpus for w in a.words} | {"and"}))}
    left, right = (example(corpus[i], tables, index) for i in (0, -1))

    both = joined(left, right, [index["and"]])

    assert len(both.words) == len(left.words) + 1 + len(right.words)
    assert both.ends.tolist() == [1, 5, 8, 11]
    stated = both.pairs[both.pairs[:, 2] > 0]
    assert stated[:, [0, 1, 3]].tolist() == [[1, 5, 2], [8, 11, -1]]
    assert len(both.pairs) == 12
    assert both.arcs[both.arcs[:, 2] > 0].tolist() == [[4, 5, 1]]


def test_a_batch_holds_captions_of_one_length_and_an_epoch_every_caption() -> None:
    corpus, _ = align_all([GoldCaption(caption, read_triples(graph)) for caption, graph in gold_rows()])
    tables = count_tables(corpus)
    index = {word: i for i, word in enumerate(sorted({w for a in corpus for w in a.words}))}
    examples = [example(aligned, tables, index) for aligned in corpus]

    epoch = list(batches(examples, 4, 0.0, [], np.random.default_rng(0)))

    assert sum(map(len, epoch)) == len(examples)
    assert all(len({len(e.words) for e in batch}) == 1 for batch in epoch)
