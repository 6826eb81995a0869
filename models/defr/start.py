"""Pre-trained weights of the vision transformer, wherever they come from."""

from __future__ import annotations

from safetensors.torch import load_file
from torch import Tensor

from relforge.models.defr.names import convert_vit
from relforge.models.defr.vit import VisionTransformer, resize_positions
from relforge.models.files import PUBLISHED_SUFFIXES, resolve_model
from relforge.models.published import read_published

_FILES = ("model.safetensors", "pytorch_model.bin")


def read_vit(model: str) -> tuple[str, dict[str, Tensor]]:
    """A vision transformer's style and weights under our names, see `names.convert_vit`.

    Args:
        model: folder, hub name or file (`.safetensors`, `.pth`, `.pt`, `.bin`) of timm's ViT or of a CLIP.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: it holds no vision transformer, or other objects than weights.
    """
    path = resolve_model(model).path
    if path.is_dir():
        found = [path / name for name in _FILES if (path / name).is_file()]
        if not found:
            raise ValueError(f"{path} holds no weights ({' or '.join(_FILES)})")
        path = found[0]
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        elif path.suffix in PUBLISHED_SUFFIXES or path.suffix == ".bin":
            state = read_published(path)
        else:
            raise ValueError("expected .safetensors, .pth, .pt or .bin")
        return convert_vit(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def start_vit(vit: VisionTransformer, model: str) -> Tensor | None:
    """Copy pre-trained weights, positions resized to the grid.

    Args:
        model: see `read_vit`.

    Returns:
        CLIP's visual projection, D_out x D, which the network has only where it is kept.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: it is of another style, names are missing or surplus, or shapes differ; all are listed.
    """
    style, own = read_vit(model)
    if style != vit.sizes.style:
        raise ValueError(f"{model} is of style {style}; set `sizes: {{style: {style}}}`")
    own["positions"] = resize_positions(own["positions"][0], vit.sizes.grid, style)[None]
    projection = own.get("projection.weight")
    if vit.projection is None:
        own.pop("projection.weight", None)
    expected = vit.state_dict()
    problems = [f"missing {name}" for name in expected if name not in own]
    problems += [f"surplus {name}" for name in own if name not in expected]
    problems += [
        f"shape of {name}: {tuple(own[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in own and own[name].shape != expected[name].shape
    ]
    if problems:
        raise ValueError(f"{model} does not fit the sizes of the model:\n  " + "\n  ".join(problems))
    vit.load_state_dict(own)
    return projection
