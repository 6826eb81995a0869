"""Teaching a prior: from claims alone, from gold, and on held-out images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest

from relforge.stages.ground.model import hash_image, image_key, load_model
from relforge.stages.ground.pairs import read_alternatives
from relforge.stages.registry import build
from relforge.trainer.ground.calibrate import calibrate
from relforge.trainer.ground.fit import FOLDS, Lesson, teach
from relforge.trainer.ground.gold import expand_gold
from relforge.trainer.ground.marks import mark
from relforge.trainer.ground.perceptron import Settings
from tests.fixtures import rows
from tests.fixtures.play import play as made_play

QUICK = Settings(hidden=16, epochs=60, batch_size=128)


@pytest.fixture(scope="module")
def play() -> Mapping[str, pa.Table]:
    return made_play()


def alternatives(tables):
    return read_alternatives(tables["candidates"], tables["boxes"], tables["images"])


def held(tables) -> np.ndarray:
    pair = [tables["candidates"][name].to_numpy() for name in ("subject_box", "object_box")]
    return (pair[0] == 0) & (pair[1] == 1)


def best_is_held(score: np.ndarray, tables) -> float:
    pairs = alternatives(tables)
    order = np.lexsort((-score, pairs.claim))
    first = order[np.unique(pairs.claim[order], return_index=True)[1]]
    return float(held(tables)[first].mean())


@pytest.fixture(scope="module")
def taught(play):
    return teach([Lesson(alternatives(play))], settings=QUICK)


def test_claims_alone_teach_which_pairs_are_meant(taught, play) -> None:
    model, measures = taught

    assert best_is_held(model.score(alternatives(play)), play) > 0.9
    assert measures["claims"] == 60
    assert measures["average_precision"] > 0.8


def test_gold_teaches_it_too_and_no_image_is_scored_by_what_was_fitted_on_it(play) -> None:
    candidates, right = expand_gold(play)
    assert (len(right), int(right.sum())) == (360, 60)
    wrong = ~right  # labels that only a model that saw them could repeat
    pairs = read_alternatives(candidates, play["boxes"], play["images"])
    even = np.array([hash_image(name) % FOLDS == 0 for name in pairs.images])[pairs.image]
    model, _ = teach([Lesson(pairs, np.where(even, right, wrong))], settings=QUICK)

    score = model.logits(pairs)
    assert score[even & right].mean() < score[even & wrong].mean()
    assert score[~even & right].mean() > score[~even & wrong].mean()


def test_two_men_are_two_pairs_and_a_man_is_one(play) -> None:
    tables = dict(play)
    for count, marked in ((None, 1), (1, 1), (2, 2), (0, 2)):
        column = pa.array([count] * play["candidates"].num_rows, pa.int32())
        place = play["candidates"].schema.get_field_index("subject_count")
        tables["candidates"] = play["candidates"].set_column(place, "subject_count", column)
        pairs = alternatives(tables)
        found = mark(pairs, -pairs.distance())
        assert np.bincount(pairs.image[found]).tolist() == [marked] * 60, count


def test_calibration_gives_shares_back() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=20_000)
    right = draw.random(20_000) < 1 / (1 + np.exp(1 - 2 * logits))

    (offset, slope), _ = calibrate(logits, right)

    assert (offset, slope) == pytest.approx((-1, 2), abs=0.1)


def test_nothing_to_choose_from_is_said(play) -> None:
    one = rows.table("candidates", {"subject_box": 0, "object_box": 1, "predicate": "on"}, image_id="0")
    with pytest.raises(ValueError, match="no claim has two pairs to choose from"):
        teach([Lesson(read_alternatives(one, play["boxes"], play["images"]))])


def test_a_damaged_folder_is_refused_with_its_name(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"prior\.safetensors not found"):
        build("ground", "learned", model=str(tmp_path)).files()
    for name in ("prior.safetensors", "tables.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(tmp_path)


def test_an_image_is_known_by_the_number_in_its_name() -> None:
    assert image_key("COCO_val2014_000000000139.jpg") == image_key("train/139") == image_key("139") == "139"
    assert image_key("a.jpg") == "a"
