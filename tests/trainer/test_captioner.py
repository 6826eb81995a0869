"""The captioner's recipe: what it reads, what it minimises, and that a stopped run continues exactly."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from relforge.data.caption_batches import CaptionBatches, CaptionOptions
from relforge.data.captions import CaptionData, load_captions
from relforge.demo.world.dataset import write_split
from relforge.models.blip import checkpoint
from relforge.trainer import snapshots
from relforge.trainer.captioner import Captioner
from relforge.trainer.recipes import blip
from relforge.trainer.tokenizer import build_word_tokenizer
from relforge.trainer.vision_initialisation import initialise_vision

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("world"), "caption", 6, size=64)


@pytest.fixture
def settings(split: Path, tmp_path: Path) -> dict[str, Any]:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return {
        "out": str(tmp_path / "out"),
        "data": {
            "captions": str(split / "captions.json"),
            "images": str(split / "images"),
            "boxes": str(split / "instances.json"),
        },
        "model": {
            "kind": "blip",
            "vocabulary": 200,
            "vision": {**sizes, "image_size": 32, "patch_size": 8},
            "text": {**sizes, "max_position_embeddings": 24},
        },
        "vision_steps": 4,
        "steps": 4,
        "batch": {"size": 3, "captions": 2},
        "save_every": 2,
        "log_every": 1,
    }


def parts(settings: dict[str, Any]) -> tuple[CaptionData, Any, CaptionBatches, Captioner]:
    """Data, tokenizer, batches and a random model."""
    data = load_captions(**settings["data"])
    tokenizer = build_word_tokenizer(data.texts())
    batches = CaptionBatches(
        data, tokenizer, CaptionOptions(**settings["batch"]), side=32, grid=4, max_length=24, seed=0
    )
    torch.manual_seed(0)
    model = Captioner(
        settings["model"]["vision"], settings["model"]["text"], tokenizer, data.class_shares()
    ).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return data, tokenizer, batches, model


def test_concatenated_captions_have_the_loss_of_transformers_for_each(
    settings: dict[str, Any],
) -> None:
    # given a batch whose rows hold two captions each
    _, tokenizer, batches, model = parts(settings)
    batch = batches.at(0).to(CPU)

    # when transformers computes the loss of every caption alone, on a copy of its image
    total = tokens = 0.0
    for row in range(len(batch.images)):
        for number in range(2):
            ids = batch.ids[row][batch.caption[row] == number][None]
            assert ids[0, 0] == tokenizer.bos_token_id
            assert ids[0, -1] == tokenizer.sep_token_id
            alone = model.blip(pixel_values=batch.images[row : row + 1], input_ids=ids, labels=ids).loss
            total += float(alone.detach()) * (ids.shape[1] - 1)
            tokens += ids.shape[1] - 1

    # then the batch's loss is their mean over tokens
    assert float(model.caption_losses(batch)["captions"]) == pytest.approx(total / tokens, rel=1e-5)


def test_patch_targets_are_the_classes_of_the_boxes_over_them(settings: dict[str, Any]) -> None:
    settings["batch"] |= {"mirror": 0.0}
    data, _, batches, _ = parts(settings)
    mirrored = CaptionBatches(
        data, parts(settings)[1], CaptionOptions(3, 2, mirror=1.0), side=32, grid=4, max_length=24, seed=0
    )
    plain, flipped = batches.at(0).patches, mirrored.at(0).patches
    assert plain is not None
    assert flipped is not None
    assert plain.sum() > 0
    assert torch.equal(plain.unflatten(1, (4, 4)).flip(2), flipped.unflatten(1, (4, 4)))


def test_without_boxes_there_is_no_head_for_them(settings: dict[str, Any]) -> None:
    del settings["data"]["boxes"]
    _, _, batches, model = parts(settings)
    assert set(model.caption_losses(batches.at(0).to(CPU))) == {"captions", "words"}


def test_patches_with_a_class_are_kept_before_others(settings: dict[str, Any]) -> None:
    # given an image with classes in half of its patches
    _, _, batches, model = parts(settings)
    batch = batches.at(0).to(CPU)
    assert batch.patches is not None
    batch.patches.zero_()
    batch.patches[:, :8] = 1

    # when the patches that show nothing change
    loss = model.vision_losses(batch, torch.Generator().manual_seed(0))
    batch.images[:, :, 16:] = 0
    again = model.vision_losses(batch, torch.Generator().manual_seed(0))

    # then the loss does not change
    assert torch.allclose(loss["patches"], again["patches"])


def test_a_vision_tower_starts_with_whitened_patches_and_neighbours(settings: dict[str, Any]) -> None:
    _, _, batches, model = parts(settings)
    images, tower = batches.at(0).to(CPU).images, model.blip.vision_model
    initialise_vision(tower, images, torch.Generator().manual_seed(0))
    projected = tower.embeddings.patch_embedding(images).permute(0, 2, 3, 1).flatten(0, 2)
    assert projected.mean(0).abs().max() < 1e-4
    assert 0.1 < projected.std() < 1
    places = tower.embeddings.position_embedding[0, 1:]
    near, far = (torch.dot(places[0], places[i]) for i in (1, 15))
    assert near > far


@pytest.mark.parametrize("part", ["vision", "."])
def test_a_stopped_run_continues_to_the_same_weights(
    settings: dict[str, Any], monkeypatch, part: str
) -> None:
    # given a run that is stopped after the second step of either part
    whole = blip.main(settings)
    stopped = deepcopy(settings) | {"out": settings["out"] + "-stopped"}
    save = snapshots.save

    def save_and_stop(folder: Path, step: int, *rest: Any) -> None:
        save(folder, step, *rest)
        if step == 2 and folder == Path(stopped["out"]) / part:
            raise KeyboardInterrupt

    monkeypatch.setattr(snapshots, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        blip.main(stopped)
    monkeypatch.setattr(snapshots, "save", save)

    # when the same command runs again
    resumed = blip.main(stopped)

    # then the weights are those of the undisturbed run
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_finished_folder_is_a_captioner_with_a_card(settings: dict[str, Any]) -> None:
    finished = blip.main(settings | {"half": True})
    loaded = checkpoint.load(str(finished))
    assert loaded.prompt == (loaded.tokenizer.bos_token_id,)
    assert next(iter(load_file(finished / "model.safetensors").values())).dtype == torch.float16
    assert load_captions(**settings["data"]).sha256 in (finished / "README.md").read_text()


def test_rare_words_are_spelled() -> None:
    tokenizer = build_word_tokenizer(["a dog and a dog", "a Zebra"], max_tokens=27)
    assert tokenizer.tokenize("a dog") == ["a", "dog"]
    assert tokenizer.tokenize("zebra") == ["z", "##e", "##b", "##r", "##a"]
    with pytest.raises(ValueError, match="allow more than"):
        build_word_tokenizer(["a zebra"], max_tokens=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 2}, "unknown setting epochs"),
        ({"batch": {"short_sides": [8]}}, "unknown setting batch.short_sides"),
        ({"optimisation": {"average_decay": 0.9}}, "optimisation.average_decay: this recipe has none"),
        (
            {"optimisation": {"backbone_learning_rate": 1e-4}},
            "optimisation.backbone_learning_rate: this recipe has none",
        ),
        ({"data": {"caption": "x"}}, r"unknown setting data.caption; did you mean data.captions\?"),
        ({"model": {"vocabluary": 9}}, "unknown setting model.vocabluary"),
        ({"model": {"vision": {"depth": 9}}}, "unknown setting model.vision.depth"),
        ({"data": {"captions": "FILE", "images": ""}}, "is not a COCO file with images and annotations"),
    ],
)
def test_bad_settings_are_named(
    settings: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "x.json").write_text(json.dumps([1]))
    if "data" in change:
        change["data"]["captions"] = str(tmp_path / "x.json")
    with pytest.raises(ValueError, match=message):
        blip.main(settings | change)
