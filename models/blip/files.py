"""Which files a BLIP captioner is read from, and what is assumed where they do not say."""

from __future__ import annotations

from relforge.models.files import resolve_model

PROMPT = "a picture of "
PUBLISHED_TOKENIZER = "bert-base-uncased"
"""The tokenizer of every published `.pth`, which has none of its own."""


def list_files(model: str, tokenizer: str | None = None, revision: str | None = None) -> tuple[str, ...]:
    """Paths of the files that decide what `checkpoint.load` reads with the same arguments, for fingerprints.

    Raises:
        FileNotFoundError: the model or its tokenizer is neither here nor on the hub.
    """
    found = resolve_model(model, revision)
    name = tokenizer or (PUBLISHED_TOKENIZER if found.path.is_file() else None)
    return resolve_model(model, revision, [name]).files if name else found.files
