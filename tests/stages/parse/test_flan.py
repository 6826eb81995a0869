"""Parser `flan_t5`: a T5 model's triples as scene graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from relforge.stages.parse.flan import FlanParser, graph_of, spaced
from relforge.stages.parse.graph import ParseError
from relforge.stages.registry import build
from tests.fixtures.keys import key_of

_WORDS = "<pad> </s> <unk> ( ) , Generate Scene Graph : a man riding horse brown ride is dog on bed"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random T5 with its tokenizer, in the format models are published in."""
    folder = tmp_path_factory.mktemp("flan-t5-tiny")
    vocabulary = {word: i for i, word in enumerate(_WORDS.split())}
    raw = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = Whitespace()
    raw.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=40
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(vocabulary), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu", decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_saved_model_parses_every_caption_alone_as_in_a_batch(saved: Path) -> None:
    parser = FlanParser(str(saved), max_length=12)
    parser.setup()
    captions = ["a man riding a horse", "", "a dog on a bed", "brown horse"]

    together = parser.parse(captions)

    assert together == [parser.parse([caption])[0] for caption in captions]
    assert any(path.endswith("model.safetensors") for path in parser.files())
    assert parser.name == f"flan_t5/{saved.name}"


def test_what_the_model_writes_becomes_a_graph_that_points_to_its_words() -> None:
    caption = "Two men riding a brown horse"
    found = [("horse", "is", "brown"), ("men", "is", "2"), ("men", "ride", "horse")]

    graph = graph_of(caption, found)

    men, horse = graph.entities
    assert (men.text, men.lemma, men.attributes) == ("men", "man", ("2",))
    assert caption[horse.start : horse.end] == "horse"
    (ride,) = graph.relations
    assert (ride.subject, ride.lemma, ride.object, ride.start) == (0, "ride", 1, -1)


def test_names_the_caption_does_not_spell_come_last_without_a_place() -> None:
    graph = graph_of("guy on a bus", [("person", "on", "bus")])

    assert [(entity.text, entity.start) for entity in graph.entities] == [("bus", 9), ("person", -1)]


def test_tokenizer_spacing_and_unfinished_triples_are_mended() -> None:
    assert spaced("(man, ride, horse), (horse, is") == "( man , ride , horse )"


def test_a_caption_beyond_the_model_is_named(saved: Path) -> None:
    parser = FlanParser(str(saved))
    parser.setup()

    with pytest.raises(ParseError, match=r"caption 1: \d+ tokens; this model takes 40") as caught:
        parser.parse(["a man", "dog " * 50])
    assert caught.value.index == 1


def test_a_folder_without_a_t5_model_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(ValueError, match=r"parse.model: cannot load .*; give a folder or a hub name"):
        FlanParser(str(tmp_path)).setup()


@pytest.mark.parametrize("model", ["./none", "nobody/no-such-parser"])
def test_a_missing_model_is_refused_before_anything_runs(model: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"model '{model}'"):
        build("parse", "flan_t5", model=model).files()


def test_a_model_on_the_hub_counts_by_its_content(
    saved: Path, hub_model: Callable[[str, Path], Path]
) -> None:
    folder = hub_model("somebody/parser", saved)
    before = key_of("parse", "flan_t5", model="somebody/parser")

    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")

    assert key_of("parse", "flan_t5", model="somebody/parser") != before


def test_the_batch_size_changes_neither_a_graph_nor_the_key(saved: Path) -> None:
    captions = ["a man riding a horse", "a dog on a bed", "a man on a horse", "a dog is a dog"]
    graphs = []
    for batch_size in (1, 3):
        parser = FlanParser(str(saved), batch_size=batch_size, max_length=12)
        parser.setup()
        graphs.append(parser.parse(captions))

    assert graphs[0] == graphs[1]
    options = {"model": str(saved)}
    plain = key_of("parse", "flan_t5", **options)
    assert key_of("parse", "flan_t5", **options, batch_size=3, device="cuda") == plain
    assert key_of("parse", "flan_t5", **options, max_length=12) != plain
