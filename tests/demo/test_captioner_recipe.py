"""The shipped captioner: its recipe learns as recorded, and its captions are partly true."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml
from PIL import Image
from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessor

from relforge.demo.caption_scores import CaptionScorer, list_predicate_forms, read_captions, read_gold
from relforge.demo.world.dataset import write_split
from relforge.stages.registry import build, build_source
from relforge.trainer.recipes import blip

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "configs" / "train" / "world_blip.yaml"
WEIGHTS = ROOT / "demo" / "weights" / "blip"
TRUE = 0.3
"""Share of triplets that must be true: what a hundred images gave, less what 16 may err."""
VISION, CAPTION = (15.60, 10.12), (14.42, 10.92)
"""Losses of the run below as recorded, of either part: of its first step, and the mean of its last three."""


def test_a_short_training_lowers_the_losses_as_recorded(tmp_path: Path) -> None:
    # given the shipped recipe on a few small images
    drawn = write_split(tmp_path, "caption", 24)
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe |= {"out": str(tmp_path / "out"), "vision_steps": 10, "steps": 10, "log_every": 1}
    recipe["data"] = {
        "captions": str(drawn / "captions.json"),
        "images": str(drawn / "images"),
        "boxes": str(drawn / "instances.json"),
    }
    recipe["model"]["vision"] |= {"image_size": 48}
    recipe["batch"] |= {"size": 4}
    recipe["optimisation"] |= {"warmup_steps": 2}

    blip.main(recipe)

    for part, (first, last) in (("vision", VISION), (".", CAPTION)):
        log = (tmp_path / "out" / part / "log.jsonl").read_text().splitlines()
        losses = [json.loads(line)["total"] for line in log]
        assert losses[0] == pytest.approx(first, rel=0.03)
        assert sum(losses[-3:]) / 3 == pytest.approx(last, rel=0.07)
        assert last < 0.9 * first


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("world"), "detection", 16, seed=7)


def test_the_most_likely_captions_of_the_shipped_captioner_are_often_true(split: Path) -> None:
    # given images outside every training set
    images = pa.concat_tables(
        result.tables["images"]
        for result in build_source(
            "coco", annotations=str(split / "instances.json"), images=str(split / "images")
        ).shards(64)
    )
    stage = build("caption", "blip", model=str(WEIGHTS), mode="beam")
    stage.setup()

    # when each gets its likeliest caption
    rows = stage.process({"images": images}).tables["captions"].to_pylist()
    captions = {int(row["image_id"]): [row["text"]] for row in rows}

    # then the triplets of these are true far more often than those of another image would be
    gold = read_gold(split)
    keys = sorted(gold)
    scorer = CaptionScorer()
    own = scorer.score([captions[key] for key in keys], [gold[key] for key in keys])
    other = scorer.score([captions[key] for key in keys], [gold[key] for key in (*keys[1:], keys[0])])
    assert own.precision > TRUE
    assert own.precision > 2 * other.precision


def test_transformers_reads_the_shipped_weights(split: Path) -> None:
    model = BlipForConditionalGeneration.from_pretrained(WEIGHTS).eval()
    tokenizer, processor = BertTokenizer.from_pretrained(WEIGHTS), BlipImageProcessor.from_pretrained(WEIGHTS)
    with Image.open(split / "images" / "000001.jpg") as image:
        pixels = processor(image, return_tensors="pt")["pixel_values"]
    start = torch.tensor([[tokenizer.bos_token_id]])
    states = model.vision_model(pixel_values=pixels).last_hidden_state
    ids = model.text_decoder.generate(
        input_ids=start, encoder_hidden_states=states, max_length=20, eos_token_id=tokenizer.sep_token_id
    )
    assert len(tokenizer.decode(ids[0], skip_special_tokens=True).split()) >= 4


def test_oracle_captions_are_true_and_those_of_another_image_are_not(split: Path) -> None:
    gold, captions = read_gold(split), read_captions(split)
    keys = sorted(gold)
    scorer = CaptionScorer()
    own = scorer.score([captions[key] for key in keys], [gold[key] for key in keys])
    other = scorer.score([captions[key] for key in (*keys[1:], keys[0])], [gold[key] for key in keys])
    assert own.precision > 0.95
    assert 0.4 < own.recall < 1
    assert other.precision < 0.3


def test_every_wording_of_a_predicate_counts() -> None:
    forms = list_predicate_forms()
    assert forms["rides"] == forms["ridden"] == {"riding"}
    assert forms["sitting on"] == {"sitting on", "on"}
    assert "pushed by" not in forms
