"""Where a model's files lie: a local folder, a `.pth` file or a name on the hub."""

from __future__ import annotations

from pathlib import Path

_WANTED = ["*.json", "*.txt", "*.safetensors", "*.bin"]


def locate(model: str, revision: str | None = None) -> Path:
    """The local folder or file of a model.

    Args:
        model: a folder as `save_pretrained` writes it, a `.pth` / `.pt` / `.safetensors` file, or a hub name
            such as `Salesforce/blip-image-captioning-large`.
        revision: branch, tag or commit on the hub.

    Raises:
        FileNotFoundError: none of these, saying what was tried.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    if model.startswith((".", "/", "~")) or path.suffix in (".pth", ".pt", ".safetensors"):
        raise FileNotFoundError(f"model {model!r}: no such file or folder")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED))
    except Exception as error:  # the hub client has a dozen ways to say so
        raise FileNotFoundError(
            f"model {model!r} is neither a local path nor on the hub as far as this machine can see "
            f"({type(error).__name__}); download it once with `hf download {model}`, or give its folder"
        ) from error


def files(model: str, tokenizer: str | None, revision: str | None = None) -> list[str]:
    """The files whose content decides the captions, for the fingerprint."""
    found: list[str] = []
    for name in (model, tokenizer):
        if name is None:
            continue
        path = locate(name, revision)
        if path.is_file():
            found.append(str(path))
            neighbour = path.with_name("config.json")
            if path.suffix != ".txt" and neighbour.exists():
                found.append(str(neighbour))
        else:
            found += sorted(str(p) for pattern in _WANTED for p in path.glob(pattern))
    return sorted(set(found))
