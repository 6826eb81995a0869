"""DEFR against the numbers of its release (g18)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from relforge.models.defr.box_masks import outside
from relforge.models.defr.head import Classifier
from relforge.models.defr.model import Defr
from relforge.models.defr.published import blueprint_of, rename
from relforge.models.defr.sizes import Sizes
from relforge.models.defr.vit import resize_positions
from relforge.models.published import load_pretrained
from relforge.models.training.image_losses import (
    InteractionLosses,
    binary_cross_entropy,
    focal,
    lse_sign,
)
from relforge.models.training.image_targets import ImageTargets

LOGITS = 1e-4
FACTORS = {"pos_embed": 64.0, "positional_embedding": 16.0}


def z(name: str, *shape: int) -> Tensor:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))


def unit(name: str, width: int) -> Tensor:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    rows = generator.standard_normal((600, width))
    return torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


@pytest.fixture(scope="module")
def stored(golden: Callable[[str], Any]) -> Any:
    return golden("g18_defr")


@pytest.fixture(scope="module")
def pixels(formula: Any) -> Tensor:
    return torch.from_numpy(np.stack([formula.image(160, 160, phase) for phase in (0, 0.7)]))


@pytest.fixture(scope="module")
def listings(goldens: Path) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = json.loads((goldens / "g18_defr_state_dict.json").read_text())
    return content


@pytest.fixture(scope="module")
def weights(formula: Any, listings: dict[str, dict[str, Any]]) -> Callable[[str], dict[str, Tensor]]:
    """Formula weights of a listing, position tables scaled as the fixtures' page says."""

    def make(listing: str) -> dict[str, Tensor]:
        return {
            key: torch.from_numpy(np.asarray(formula.value(key, shape)))
            * FACTORS.get(key.rsplit(".", 1)[-1], 1.0)
            for key, (shape, _) in listings[listing].items()
        }

    return make


def named(variant: str) -> tuple[str, Tensor]:
    """Head and rows of a variant of the fixtures."""
    base = variant.removeprefix("i-").removesuffix("-linear").removesuffix("-512")
    kind = "mixed" if variant.startswith("i-") else "linear" if variant.endswith("-linear") else "cosine"
    if variant.startswith("clip"):  # mapped back to the transformer's width
        return kind, unit("defr/clip_w", 512) @ (z("defr/clip_proj", 768, 512) / 768**0.5).T
    if base == "rand":
        return kind, unit("defr/clip_w", 512)
    return kind, unit(f"defr/{base}_w", 768)


@pytest.fixture(scope="module")
def started(
    weights: Callable[[str], dict[str, Tensor]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Defr]:
    """A model of a backbone and a variant of head, started from files of timm and of CLIP."""
    folder = tmp_path_factory.mktemp("backbones")
    timm = {k.removeprefix("vit."): v for k, v in weights("im1k_vit_b32_160").items() if k.startswith("vit.")}
    clip = weights("clip_vit_b32_openai_visual_224")
    files = {name: folder / f"{name}.safetensors" for name in ("im1k", "clip", "clip512")}
    save_file({k: v.contiguous() for k, v in clip.items()}, files["clip512"])
    # the release reads the projection that rows are mapped with from another file
    clip["visual.proj"] = z("defr/clip_proj", 768, 512) / 768**0.5
    save_file(timm, files["im1k"])
    save_file({k: v.contiguous() for k, v in clip.items()}, files["clip"])

    @cache
    def transformer(backbone: str, projection: int) -> Defr:
        style = "clip" if backbone == "clip" else "imagenet"
        model = Defr(Sizes(image=160, style=style, projection=projection), 600)
        model.start_from(str(files[backbone + (str(projection) if projection else "")]), None)
        return model.eval()

    def make(backbone: str, name: str) -> Defr:
        variant, scale = name.split("@")
        kind, rows = named(variant)
        model = transformer(backbone, 512 if variant == "rand-512" else 0)
        model.head = Classifier(replace(model.sizes, head=kind, log_scale=float(scale)), 600)
        model.head.set_rows(rows)
        return model

    return make


IM1K = [
    "bert@4.61",
    "clip@4.61",
    "bert-linear@0.0",
    "clip-linear@0.0",
    "clip-linear@4.61",
    "simcse-linear@0.0",
    "i-bert@4.61",
]
CLIP = ["clip@4.61", "bert@4.61", "clip-linear@4.61", "rand-512@4.61"]


@pytest.mark.slow
def test_the_imagenet_transformer_computes_as_published(
    stored: Any, started: Callable[[str, str], Defr], pixels: Tensor
) -> None:
    model = started("im1k", "bert@4.61")
    with torch.no_grad():
        tokens = model.vit.tokens(pixels)
        stored.check("im1k/tokens_in", tokens, LOGITS)
        for index, block in enumerate(model.vit.blocks):
            tokens = block(tokens)
            if index in (0, 5, 11):
                stored.check(f"im1k/block{index}", tokens, LOGITS)
        stored.check("im1k/after_norm", model.vit.norm(tokens), LOGITS)
        features = model.vit(pixels)
        stored.check("im1k/feature", features, LOGITS)
        for name in IM1K:
            variant = started("im1k", name)
            stored.check(f"im1k/logits/{name}", variant.head(features), LOGITS)


@pytest.mark.slow
def test_clips_transformer_computes_as_published(
    stored: Any, started: Callable[[str, str], Defr], pixels: Tensor
) -> None:
    model = started("clip", "clip@4.61")
    with torch.no_grad():
        table = model.vit.positions[0]
        stored.check("clip/pos_embed_resized_7_to_5", table[:, ::32], 1e-5)
        tokens = model.vit.tokens(pixels)
        stored.check("clip/after_ln_pre", tokens, LOGITS)
        for index, block in enumerate(model.vit.blocks):
            tokens = block(tokens)
            if index in (0, 5, 11):
                stored.check(f"clip/block{index}", tokens, LOGITS)
        features = model.vit(pixels)
        stored.check("clip/feature_768", features, LOGITS)
        stored.check("clip/classifier_rows", model.head.rows[:2], 1e-5)
        for name in CLIP:
            variant = started("clip", name)
            of_variant = variant.vit(pixels) if name.startswith("rand") else features
            stored.check(f"clip/logits/{name}", variant.head(of_variant), LOGITS)


@pytest.mark.parametrize("name", ["clip_7_to_21", "timm_7_to_21"])
def test_positions_are_resized_without_antialias(stored: Any, weights: Any, formula: Any, name: str) -> None:
    if name.startswith("clip"):
        key = "visual.positional_embedding"
        table = weights("clip_vit_b32_openai_visual_224")[key]
        ours = resize_positions(table, 21, "clip")[1:, ::64]
    else:
        table = torch.from_numpy(formula.value("pos_embed", (1, 50, 768))[0]) * FACTORS["pos_embed"]
        ours = resize_positions(table, 21, "imagenet")[:, ::64]
    stored.check(f"pos/{name}", ours, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mask", ["released", "intended"])
@pytest.mark.parametrize("layers", [1, 6])
def test_box_masks_give_both_the_released_and_the_intended_logits(
    stored: Any, started: Callable[[str, str], Defr], pixels: Tensor, mask: str, layers: int
) -> None:
    model = started("clip", "clip@4.61")
    boxes = stored["mask/boxes"]
    assert outside(boxes, 32, 5).equal(stored["mask/cls_row_head0"])
    with torch.no_grad():
        ours = model.pair_logits(pixels, boxes, torch.arange(2), mask=mask, layers=layers)
    name = {"released": "mask_layers", "intended": "intended_layers"}[mask]
    stored.check(f"mask/logits_{name}{layers}", ours, LOGITS)


LOSSES = {
    "bce": lambda z, y, w, s: binary_cross_entropy(z, y, w),
    "wbce": lambda z, y, w, s: binary_cross_entropy(z, y, w, s["loss/wbce_pos_weight"].float()),
    "focal": lambda z, y, w, s: focal(z, y, w),
}


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    own = logits.clone().requires_grad_()
    value = loss(own)
    value.mean().backward()
    assert own.grad is not None
    return value.detach(), own.grad


def test_lse_sign_gives_the_released_values_and_gradients_and_leaves_its_input(stored: Any) -> None:
    logits, targets = stored["loss/logits"], stored["loss/target"]
    before = logits.clone()
    value, slope = gradient(lambda z: lse_sign(z, targets), logits)

    stored.check("loss/sign", value, 1e-5)
    stored.check("loss/sign_grad_of_mean", slope, 1e-6)
    assert logits.equal(before)  # the release flips it in place, on purpose not repeated
    raw = stored["loss/raw_labels"].T
    assert lse_sign(logits, raw).equal(lse_sign(logits, targets))  # ambiguous labels are negatives too


@pytest.mark.parametrize("name", LOSSES)
def test_the_other_losses_give_the_released_values_and_gradients(stored: Any, name: str) -> None:
    targets = stored["loss/target"]
    value, slope = gradient(
        lambda z: LOSSES[name](z, targets, torch.ones_like(z), stored), stored["loss/logits"]
    )

    stored.check(f"loss/{name}", value, 1e-5)
    stored.check(f"loss/{name}_grad_of_mean", slope, 1e-6)


@pytest.mark.parametrize(
    ("weights", "value", "slope"),
    [
        ((1.0, 1.0, 1.0), 1.148017, (-0.042937, 0.116715, 0.523082)),
        ((1.0, 1.0, 0.0), 0.407606, (-0.090031, 0.244729, 0.0)),
        ((0.6, 1.0, 0.2), 0.575953, (-0.045649, 0.206810, 0.185372)),
    ],
)
def test_a_weight_of_lse_sign_scales_a_class_and_zero_removes_it(
    weights: tuple[float, ...], value: float, slope: tuple[float, ...]
) -> None:
    logits, targets = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]])
    ours, theirs = gradient(lambda z: lse_sign(z, targets, torch.tensor([weights])), logits)

    assert float(ours) == pytest.approx(value, abs=1e-6)
    assert theirs[0].tolist() == pytest.approx(slope, abs=1e-6)


def test_the_losses_of_the_family_weigh_the_targets_and_name_what_they_refuse() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    target = ImageTargets(torch.zeros(0), torch.zeros(0), torch.tensor([1.0, 0.0, 0.0]))
    assert float(InteractionLosses()(logits, [target], 1)["total"]) == pytest.approx(1.148017, abs=1e-6)
    target.interaction_weights = torch.tensor([1.0, 1.0, 0.0])
    assert float(InteractionLosses()(logits, [target], 1)["total"]) == pytest.approx(0.407606, abs=1e-6)
    with pytest.raises(ValueError, match=r"losses.loss: 'hinge'; choose one of lse_sign, bce, focal"):
        InteractionLosses("hinge")
    with pytest.raises(ValueError, match="positive_weight: weighted_bce needs"):
        InteractionLosses("weighted_bce")
    with pytest.raises(ValueError, match="positive_weight: bce has none"):
        InteractionLosses("bce", [1.0])


TINY = Sizes(width=64, layers=1, heads=1, feedforward=128, patch=16, image=32)


def released(sizes: Sizes, folder: Path) -> tuple[Path, Defr]:
    """A checkpoint in the release's layout, and the model whose weights it holds."""
    torch.manual_seed(0)
    model = Defr(sizes, 600)
    clip = sizes.style == "clip"
    inner = {
        "cls_token": "class_embedding" if clip else "cls_token",
        "positions": "positional_embedding" if clip else "pos_embed",
        "patches.": "conv1." if clip else "patch_embed.proj.",
        "norm_before.": "ln_pre.",
        "attention.qkv.": "attn.in_proj_" if clip else "attn.qkv.",
        "attention.out.": "attn.out_proj." if clip else "attn.proj.",
        "fc1.": "mlp.c_fc." if clip else "mlp.fc1.",
        "fc2.": "mlp.c_proj." if clip else "mlp.fc2.",
    }
    if clip:
        inner |= {"norm1.": "ln_1.", "norm2.": "ln_2.", "blocks.": "transformer.resblocks."}
        inner |= {"projection.weight": "proj"}
    head = {"head.rows": "classifier.weight" if sizes.head == "linear" else "classifier"}
    head |= {
        "head.bias": "classifier.bias",
        "head.mixture": "m_classifier",
        "head.log_scale": "logit_scale",
    }
    state = {}
    for name, tensor in model.state_dict().items():
        if name in head:
            state[f"module.{head[name]}"] = tensor
            continue
        key = name.removeprefix("vit.")
        for ours, theirs in inner.items():
            key = key.replace(ours, theirs)
        if clip and key.startswith("norm."):
            key = key.replace("norm.", "ln_post.")
        if clip and name.endswith(("cls_token", "positions")):
            tensor = tensor[0, 0] if name.endswith("cls_token") else tensor[0]
        tensor = tensor.T if key == "proj" else tensor
        state[f"module.{'visual_encoder.visual.' if clip else 'vit.'}{key}"] = tensor
    path = folder / "best.pth"
    torch.save({"model_state_dict": state, "epoch": 9}, path)
    return path, model.eval()


@pytest.mark.parametrize(
    "sizes",
    [
        TINY,
        replace(TINY, head="linear", log_scale=0.0),
        replace(TINY, head="mixed"),
        replace(TINY, style="clip"),
        replace(TINY, style="clip", projection=32),
    ],
    ids=["im1k", "linear", "mixed", "clip", "clip-512"],
)
def test_a_released_checkpoint_loads_completely(sizes: Sizes, tmp_path: Path) -> None:
    path, model = released(sizes, tmp_path)

    loaded = load_pretrained(str(path))

    assert loaded.blueprint.kind == "defr"
    assert replace(loaded.blueprint.sizes, log_scale=0.0) == replace(sizes, log_scale=0.0)
    assert loaded.blueprint.interactions[599] == ("interaction 599", "object")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(loaded.model(images), model(images))


def test_every_key_of_the_released_listings_is_known(listings: dict[str, dict[str, Any]]) -> None:
    for name, extra in (
        ("im1k_vit_b32_160", "extra_linear"),
        ("im1k_vit_b32_160", "extra_i-bert"),
        ("clip_vit_b32_160", ""),
    ):
        shapes = {key: shape for key, (shape, _) in listings[name].items()}
        if extra == "extra_linear":
            del shapes["classifier"]
        shapes |= {key: shape for key, (shape, _) in listings.get(extra, {}).items()}
        state = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
        blueprint = blueprint_of(state)
        assert blueprint is not None
        with torch.device("meta"):
            model = blueprint.build(None)
        renamed, problems = rename(state, blueprint)
        assert problems == []
        assert {n: t.shape for n, (_, t) in renamed.items()} == {
            n: t.shape for n, t in model.state_dict().items()
        }
