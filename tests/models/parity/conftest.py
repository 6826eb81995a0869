"""Golden fixtures of the published code: stored arrays, formula weights and formula images.

A stored array is either whole, under its name, or a strided sample with statistics
(`name#shape`, `name#sample`, `name#stat`).
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import RobertaConfig, RobertaModel
from transformers.initialization import no_init_weights

from relforge.models.blocks.backbone import resnet50
from relforge.models.blocks.text import TextEncoder
from relforge.models.blueprint import Blueprint
from relforge.models.published import load_published
from relforge.models.rlipv2.model import RelationModel
from relforge.models.rlipv2.sizes import Sizes
from relforge.models.zoo import family
from tests.conftest import TEST_DEVICE

GPU_TOLERANCE = 2e-4
"""Of float32 on a GPU, where convolutions and products sum in another order; TF32 is off."""
if TEST_DEVICE != "cpu":
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

LISTINGS = {
    "rtagger": "g1_tagger_state_dict.json",
    "parsed": "g4_parsed_state_dict.json",
    "parseda": "g4_parseda_state_dict.json",
}

# Flags of the fixtures g1 and g4. Dropout 0: the training fixtures were made without, and the
# inference ones in evaluation mode.
SIZES = {
    "rtagger": Sizes(gate="vector", feedforward=1024, dropout=0.0, mask_fusion=False),
    "parsed": Sizes(gate="scalar", feedforward=1024, branch_fusion=True, dropout=0.0, mask_fusion=False),
    "parseda": Sizes(gate="scalar", feedforward=2048, branch_fusion=True, dropout=0.0, mask_fusion=False),
}


class Golden:
    """One `.npz` file of goldens."""

    def __init__(self, path: Path) -> None:
        self.arrays = np.load(path)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays.files or f"{name}#sample" in self.arrays.files

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.arrays[name]))

    def targets(self, count: int) -> list[dict[str, Tensor]]:
        """The `target{i}_*` arrays, one dictionary per image."""
        return [
            {
                name.removeprefix(f"target{i}_"): self[name]
                for name in self.arrays.files
                if name.startswith(f"target{i}_")
            }
            for i in range(count)
        ]

    def check(self, name: str, ours: Tensor, atol: float) -> None:
        """Assert that a tensor equals the stored one, whole or at the sampled places."""
        ours = ours.detach().float().cpu()
        atol = max(atol, GPU_TOLERANCE) if TEST_DEVICE != "cpu" else atol
        if name in self.arrays.files:
            theirs = self[name].float()
            assert ours.shape == theirs.shape, f"{name}: {tuple(ours.shape)} != {tuple(theirs.shape)}"
        else:
            *shape, stride = self.arrays[f"{name}#shape"].tolist()
            assert list(ours.shape) == shape, f"{name}: {tuple(ours.shape)} != {tuple(shape)}"
            theirs = self[f"{name}#sample"]
            ours = ours.reshape(-1)[::stride]
        worst = float((ours - theirs).abs().max()) if ours.numel() else 0.0
        assert worst <= atol, f"{name}: off by {worst:.2e}, allowed {atol:.0e}"


@cache
def formula(folder: Path) -> ModuleType:
    """The module that gives the fixtures' weights and images."""
    spec = importlib.util.spec_from_file_location("weights_formula", folder / "weights_formula.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _formula_tensor(folder: Path, key: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(formula(folder).value(key, shape))


def formula_state(folder: Path, listing: str) -> dict[str, Tensor]:
    """A published checkpoint with formula weights: every key of a listing."""
    entries: dict[str, Any] = json.loads((folder / listing).read_text())
    canonical = formula(folder).canonical
    return {key: _formula_tensor(folder, canonical(key), tuple(shape)) for key, (shape, _) in entries.items()}


def _offsets_of_other_levels(folder: Path, key: str, width: int) -> Tensor:
    """The formula's start of deformable attention over another number of levels than four."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    grid = formula(folder).grid_bias(8, width // 64, 4)
    return torch.from_numpy((grid + 0.02 * generator.standard_normal(width)).astype(np.float32))


@pytest.fixture(scope="session", name="formula")
def formula_module(goldens: Path) -> ModuleType:
    """The module that gives the fixtures' weights and images."""
    return formula(goldens)


@pytest.fixture(scope="session")
def checkpoint(goldens: Path) -> Callable[..., dict[str, Tensor]]:
    """`checkpoint("g13_parsed_state_dict.json")`: that published file with formula weights; `canonical` gives
    the name of the first copy of a key where the formula's own does not."""

    def make(listing: str, canonical: Callable[[str], str] | None = None) -> dict[str, Tensor]:
        entries: dict[str, Any] = json.loads((goldens / listing).read_text())
        name = canonical or formula(goldens).canonical
        state = {}
        for key, (shape, _) in entries.items():
            if key.endswith("sampling_offsets.bias") and shape != [256]:
                state[key] = _offsets_of_other_levels(goldens, key, shape[0])
            else:
                state[key] = _formula_tensor(goldens, name(key), tuple(shape))
        return state

    return make


def formula_images(folder: Path) -> tuple[Tensor, Tensor]:
    """The fixtures' two images (2 x 3 x 256 x 288, zero padded) and their padding."""
    image = formula(folder).image
    images = torch.zeros(2, 3, 256, 288)
    padding = torch.ones(2, 256, 288, dtype=torch.bool)
    for i, (height, width, phase) in enumerate(((224, 288, 0), (256, 192, 0.7))):
        images[i, :, :height, :width] = torch.from_numpy(image(height, width, phase))
        padding[i, :height, :width] = False
    return images, padding


@pytest.fixture(scope="session")
def goldens(shared: Callable[[str], Path]) -> Path:
    """The folder of golden fixtures."""
    return shared("goldens/weights_formula.py").parent


@pytest.fixture(scope="session")
def roberta(goldens: Path) -> TextEncoder:
    """A roberta-base of formula weights, with the fixtures' stand-in tokenizer; shared by all models."""
    config = RobertaConfig(
        vocab_size=50265,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with no_init_weights():  # they are overwritten
        return TextEncoder(RobertaModel(config), formula(goldens).token_ids)


@pytest.fixture(scope="session")
def published_model(goldens: Path, roberta: TextEncoder) -> Callable[[str], RelationModel]:
    """`published_model("rtagger")`: that family member with formula weights, in evaluation mode."""

    @cache
    def build(kind: str) -> RelationModel:
        model = family(kind).build(
            SIZES[kind], backbone=resnet50(), text_encoder=roberta, classes=(), relations=()
        )
        assert isinstance(model, RelationModel)
        blueprint = Blueprint(kind, SIZES[kind], None, None)
        load_published(model, formula_state(goldens, LISTINGS[kind]), blueprint)
        return model.eval().to(TEST_DEVICE)

    return build


@pytest.fixture(scope="session")
def parseda_sizes() -> Sizes:
    """What the fixtures' ParSeDA was built from."""
    return SIZES["parseda"]


@pytest.fixture(scope="session")
def golden(goldens: Path) -> Callable[[str], Golden]:
    """`golden("g1_tagger_inference")`: the arrays of that file."""
    return cache(lambda name: Golden(goldens / f"{name}.npz"))


@pytest.fixture(scope="session")
def texts(goldens: Path) -> list[str]:
    """The fixtures' 13 object and 15 relation texts."""
    content = json.loads((goldens / "g1_tagger_inference_inputs.json").read_text())
    return list(content["flat_text"])


@pytest.fixture(scope="session")
def images(goldens: Path) -> tuple[Tensor, Tensor]:
    """The fixtures' two images and their padding."""
    images, padding = formula_images(goldens)
    return images.to(TEST_DEVICE), padding.to(TEST_DEVICE)


@pytest.fixture(scope="session")
def record() -> Callable[[nn.Module, dict[str, nn.Module], Callable[[], Any]], dict[str, Any]]:
    """`record(parts, call)`: what each named part returned while `call()` ran, and `call()`'s own result
    under `result`."""

    def run(parts: dict[str, nn.Module], call: Callable[[], Any]) -> dict[str, Any]:
        recorded: dict[str, Any] = {}
        handles = [
            part.register_forward_hook(lambda module, args, out, name=name: recorded.__setitem__(name, out))
            for name, part in parts.items()
        ]
        try:
            recorded["result"] = call()
        finally:
            for handle in handles:
                handle.remove()
        return recorded

    return run  # type: ignore[return-value]
