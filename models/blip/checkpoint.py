"""Loading a BLIP captioner from any of its published forms, and saving one for this backend to load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.models.blip.files import PROMPT, PUBLISHED_TOKENIZER
from relforge.models.blip.names import list_tensors, rename_to_transformers
from relforge.models.blip.shape import BlipShape, from_config, from_weights
from relforge.models.files import resolve_model

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_POSITIONS = "vision_model.embeddings.position_embedding"


@dataclass(frozen=True)
class Checkpoint:
    """What a captioner is built from: sizes, weights, tokenizer, prompt and pixel statistics."""

    name: str  # the value of `captions.source`
    shape: BlipShape
    state: dict[str, Tensor]  # fp32, transformers' names
    tokenizer: Any  # a transformers tokenizer
    prompt: tuple[int, ...]  # token ids every caption starts with, [DEC] first
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD


def load(
    model: str,
    tokenizer: str | None = None,
    prompt: str | None = None,
    image_size: int | None = None,
    revision: str | None = None,
) -> Checkpoint:
    """Read a captioner.

    Args:
        model: a transformers folder or hub name (`config.json` + safetensors), or an original BLIP / LAVIS
            `.pth`; a `config.json` beside the file is used, else sizes come from the tensors.
        tokenizer: folder, `vocab.txt` or hub name; default: the model's folder, `bert-base-uncased` for a
            file.
        prompt: the words every caption starts with; default: the folder's `caption.json`, else "a picture
            of ".
        image_size: pixels; a size that is not the model's own interpolates its position embedding, as the
            published script does for `model_large.pth` (trained at 224, run at 384).
        revision: of a hub name.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: not a BLIP captioner, missing or surplus tensors (all listed), tensors of another size.
    """
    weights = load_weights(model, image_size, revision)
    path = resolve_model(model, revision).path
    name = tokenizer or (str(path) if path.is_dir() else PUBLISHED_TOKENIZER)
    loaded = _load_tokenizer(name, weights.shape)
    if prompt is None:
        prompt = _read_json(path / "caption.json").get("prompt", PROMPT)
    return replace(weights, tokenizer=loaded, prompt=_encode_prompt(loaded, prompt, weights.shape))


def load_weights(model: str, image_size: int | None = None, revision: str | None = None) -> Checkpoint:
    """As `load`, without tokenizer and prompt. Needs nothing of transformers."""
    path = resolve_model(model, revision).path
    folder = path if path.is_dir() else path.parent
    state = rename_to_transformers(_read_tensors(path))
    config = folder / "config.json"
    shape = _read_shape(config) if config.exists() else _infer_shape(state, path)
    state, shape = _interpolate_positions(state, shape, image_size)
    check_tensors(state, shape, str(path))
    preprocessor = _read_json(path / "preprocessor_config.json")
    return Checkpoint(
        name=path.name if Path(model).expanduser().exists() else model,
        shape=shape,
        state={name: tensor.float() for name, tensor in state.items()},
        tokenizer=None,
        prompt=(),
        mean=tuple(preprocessor.get("image_mean", CLIP_MEAN)),
        std=tuple(preprocessor.get("image_std", CLIP_STD)),
    )


def save(model: Any, tokenizer: Any, folder: str | Path, prompt: str = PROMPT, half: bool = False) -> None:
    """Write a folder that `load` (and transformers) reads back: weights as safetensors, config, tokenizer,
    the pixel statistics (CLIP's, at the model's own image size) and `caption.json` with the prompt.

    Args:
        model: a transformers `BlipForConditionalGeneration`, as trained.
        tokenizer: a transformers tokenizer whose ids the model was trained with.
        prompt: the words its training captions started with; may be empty.
        half: store weights as float16, half the size; they are computed in float32 all the same.
    """
    folder = Path(folder)
    weights = model.state_dict()
    if half:
        weights = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    # the word list as every version of transformers, LAVIS's old one included, reads it
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words))
    size = model.config.vision_config.image_size
    preprocessor = {"size": {"height": size, "width": size}, "image_mean": CLIP_MEAN, "image_std": CLIP_STD}
    preprocessor["image_processor_type"] = "BlipImageProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1) + "\n")
    (folder / "caption.json").write_text(json.dumps({"prompt": prompt}) + "\n")


def check_tensors(state: Mapping[str, Tensor], shape: BlipShape, where: str) -> None:
    """Refuse a state dict that is not exactly the captioner's, listing every missing, surplus or misfit
    tensor."""
    wanted = list_tensors(shape)
    problems = []
    if missing := sorted(wanted.keys() - state.keys()):
        problems.append(f"{len(missing)} missing: {', '.join(missing)}")
    if surplus := sorted(state.keys() - wanted.keys()):
        problems.append(f"{len(surplus)} surplus: {', '.join(surplus)}")
    for name in sorted(wanted.keys() & state.keys()):
        found = tuple(state[name].shape)
        if len(found) != len(wanted[name]) or any(
            want not in (have, -1) for want, have in zip(wanted[name], found, strict=True)
        ):
            problems.append(f"{name} is {found}, expected {wanted[name]}")
    if problems:
        raise ValueError(f"{where} does not hold a BLIP captioner: " + "; ".join(problems))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        files = sorted(path.glob("*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
        if not files:
            raise FileNotFoundError(f"{path} holds no .safetensors and no pytorch_model*.bin")
    else:
        files = [path]
    tensors: dict[str, Tensor] = {}
    for file in files:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors |= load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
            tensors |= loaded.get("model", loaded)  # BLIP and LAVIS keep the weights under `model`
    return tensors


def _read_shape(config: Path) -> BlipShape:
    try:
        return from_config(json.loads(config.read_text()))
    except ValueError as error:
        raise ValueError(f"{config}: {error}") from error


def _infer_shape(state: Mapping[str, Tensor], path: Path) -> BlipShape:
    try:
        return from_weights(state)
    except KeyError as error:
        raise ValueError(f"{path} does not hold a BLIP captioner: 1 missing: {error.args[0]}") from error


def _interpolate_positions(
    state: dict[str, Tensor], shape: BlipShape, image_size: int | None
) -> tuple[dict[str, Tensor], BlipShape]:
    """Bicubic resampling of the position embedding's grid (BLIP `models/vit.py`, `interpolate_pos_embed`)."""
    vision = shape.vision
    if image_size is None or image_size == vision.image_size or _POSITIONS not in state:
        return state, shape
    if image_size % vision.patch_size:
        raise ValueError(f"image_size {image_size} is not a multiple of the patch size {vision.patch_size}")
    grid, wanted = vision.image_size // vision.patch_size, image_size // vision.patch_size
    first, patches = state[_POSITIONS][:, :1], state[_POSITIONS][:, 1:]  # 1 x 1 x W, 1 x G*G x W
    patches = patches.reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    patches = F.interpolate(patches.float(), (wanted, wanted), mode="bicubic", align_corners=False)
    positions = torch.cat([first.float(), patches.flatten(2).transpose(1, 2)], dim=1)
    return state | {_POSITIONS: positions}, replace(shape, vision=replace(vision, image_size=image_size))


def _load_tokenizer(name: str, shape: BlipShape) -> Any:
    from transformers import AutoTokenizer, BertTokenizer

    path = resolve_model(name).path
    tokenizer: Any
    if path.is_file():
        tokenizer = BertTokenizer(vocab=str(path), do_lower_case=True)
    elif (path / "vocab.txt").exists() and not (path / "tokenizer_config.json").exists():
        tokenizer = BertTokenizer(vocab=str(path / "vocab.txt"), do_lower_case=True)
    else:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    if len(tokenizer) > shape.text.vocabulary:
        found = f"tokenizer {name} has {len(tokenizer)} words"
        raise ValueError(f"{found}, the model only {shape.text.vocabulary}")
    return tokenizer


def _encode_prompt(tokenizer: Any, prompt: str, shape: BlipShape) -> tuple[int, ...]:
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
    return (shape.text.bos, *(int(i) for i in ids))


def _read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file: a `.pth` has no folder of its own."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
