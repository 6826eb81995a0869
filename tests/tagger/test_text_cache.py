"""Text features on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.tagger.text_cache import TextFeatures


@pytest.fixture(scope="module")
def encoder(tiny: Any) -> Any:
    return tiny.model().text_encoder


def test_a_label_is_encoded_once_and_then_read_from_disk(encoder: Any, tmp_path: Path) -> None:
    first = TextFeatures(encoder, "a" * 64, tmp_path)
    second = TextFeatures(encoder, "a" * 64, tmp_path)

    expected = first.get(["riding", "sitting on", "riding"])

    assert first.encoded == 2
    assert second.get(["riding", "sitting on", "riding"]).equal(expected)
    assert second.encoded == 0


def test_features_do_not_depend_on_the_labels_of_the_same_call(encoder: Any) -> None:
    alone = TextFeatures(encoder, "a" * 64).get(["on"])
    same_call = TextFeatures(encoder, "a" * 64).get(["next to sitting on", "on", "riding"])
    assert same_call[1].equal(alone[0])


def test_another_model_has_other_features(encoder: Any, tmp_path: Path) -> None:
    TextFeatures(encoder, "a" * 64, tmp_path).get(["on"])
    other = TextFeatures(encoder, "b" * 64, tmp_path)
    other.get(["on"])
    assert other.encoded == 1


def test_a_damaged_file_is_replaced(encoder: Any, tmp_path: Path) -> None:
    features = TextFeatures(encoder, "a" * 64, tmp_path)
    expected = features.get(["on"])
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(path.read_bytes()[:40])
    again = TextFeatures(encoder, "a" * 64, tmp_path)
    assert again.get(["on"]).equal(expected)
    assert TextFeatures(encoder, "a" * 64, tmp_path)._path("on") == path


def test_a_label_longer_than_the_encoder_reads_does_not_fit(encoder: Any) -> None:
    features = TextFeatures(encoder, "a" * 64)
    assert features.fits("sitting on")
    assert not features.fits("on " * 100)
    with pytest.raises(ValueError, match="102 tokens; the maximum is 64"):
        features.get(["on " * 100])


def test_an_encoder_without_pooler_gives_the_mean_of_its_tokens(tiny: Any) -> None:
    encoder = tiny.model().text_encoder
    encoder.model.pooler = None
    ids, attention = encoder.token_ids(["on", "sitting on"])
    states = encoder.model(input_ids=ids, attention_mask=attention.long()).last_hidden_state
    torch.testing.assert_close(encoder(ids, attention)[0], states[0, :3].mean(0))
