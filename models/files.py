"""Where a model's files are, however the user named it, and which of them decide its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relforge.models.fetched import find_fetched, is_pinned

PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.bin", "*.model")
"""What a model folder or a hub repository is read for: configs, weights, tokenizers."""
PUBLISHED_SUFFIXES = (".pth", ".pt")
"""What authors publish: read by torch, without running code."""
WEIGHT_FILES = (*PUBLISHED_SUFFIXES, ".safetensors")


@dataclass(frozen=True)
class ModelFiles:
    """A model found on this machine.

    Args:
        path: its folder, or its single weights file.
        files: paths of all files whose content decides what the model gives, companions' included; sorted,
            for fingerprints.
    """

    path: Path
    files: tuple[str, ...]


def resolve_model(model: str, revision: str | None = None, companions: Sequence[str] = ()) -> ModelFiles:
    """Find a model; one on the hub is downloaded once, or taken from the local cache.

    Args:
        model: a pinned name that `relforge fetch` has fetched (`models.fetched`), a folder as
            `save_pretrained` or `relforge train` writes it, a `.pth` / `.pt` / `.safetensors` file, or a hub
            name such as `Salesforce/blip-image-captioning-large`.
        revision: branch, tag or commit of `model` on the hub.
        companions: what the model is used with, e.g. a tokenizer: each a folder, a file or a hub name, the
            latter at its default revision.

    Raises:
        FileNotFoundError: one is none of these; the message gives what was tried and what to do.
    """
    path = find_fetched(model) if is_pinned(model) else Path(model).expanduser()
    if not path.exists():
        if model.startswith((".", "/", "~")) or path.suffix in WEIGHT_FILES:
            raise FileNotFoundError(f"model {model!r}: no such file or folder")
        path = _from_hub(model, revision)
    if path.is_file():
        config = path.with_name("config.json")
        found = [path, config] if path.suffix in WEIGHT_FILES and config.is_file() else [path]
    else:
        found = [file for pattern in PATTERNS for file in path.glob(pattern) if file.is_file()]
        if not found:
            raise FileNotFoundError(f"model {model!r}: {path} holds no model files ({', '.join(PATTERNS)})")
    files = {str(file) for file in found}
    files.update(file for name in companions for file in resolve_model(name).files)
    return ModelFiles(path, tuple(sorted(files)))


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS)))
    except Exception as error:  # the hub client has a dozen kinds of error for it
        raise FileNotFoundError(
            f"model {name!r} is neither a local path nor on the hub as far as this machine can see "
            f"({type(error).__name__}); download it once with `hf download {name}`, or give its folder"
        ) from error
