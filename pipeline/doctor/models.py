"""Which models are on this machine, so that a run needs no download."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from relforge.pipeline.doctor.check import Check

HUB_MODELS = {
    "Salesforce/blip-image-captioning-large": "BLIP captions",
    "roberta-base": "the text encoder of the R-Tagger",
}


def check_models() -> Iterator[Check]:
    """Hub models in the local cache, and spaCy pipelines for the parse stage."""
    for name, purpose in HUB_MODELS.items():
        yield _hub_model(name, purpose)
    yield from _pipelines()


def _hub_model(name: str, purpose: str) -> Check:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return Check("models", name, "absent", "huggingface_hub is not installed")
    found = try_to_load_from_cache(name, "config.json")
    if isinstance(found, str):
        return Check("models", name, "ok", str(Path(found).parent))
    fix = f"only {purpose} needs it: hf download {name}, or give the path of a local folder"
    return Check("models", name, "absent", f"not in the local cache; {fix}")


def _pipelines() -> Iterator[Check]:
    if find_spec("spacy") is None:
        return
    from relforge.stages.parse.pipelines import EMBEDDED, EMBEDDED_PATH, pipeline_folder

    if (EMBEDDED_PATH / "config.cfg").is_file():
        yield Check("models", "parser pipeline embedded", "ok", str(EMBEDDED_PATH))
    else:
        yield Check(
            "models", "parser pipeline embedded", "broken", f"{EMBEDDED_PATH} is missing; install again"
        )
    name = "en_core_web_sm"
    try:
        yield Check("models", f"parser pipeline {name}", "ok", str(pipeline_folder(name)))
    except ValueError:
        fix = f"python -m spacy download {name}, or use pipeline: {EMBEDDED}"
        yield Check("models", f"parser pipeline {name}", "absent", f"not installed; {fix}")
