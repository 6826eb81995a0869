"""Which spaCy pipeline a parser runs on: the embedded one, an installed package, or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.language import Language

EMBEDDED = "embedded"
LICENCE = "LICENSE.txt"
"""Of the embedded pipeline; no parse depends on it."""
EMBEDDED_PATH = Path(__file__).resolve().parent / "pipeline_en"

UNUSED_FACTORIES = {
    "ner",
    "beam_ner",
    "entity_linker",
    "entity_ruler",
    "span_ruler",
    "spancat",
    "spancat_singlelabel",
    "textcat",
    "textcat_multilabel",
    "senter",
}
"""Components that never change a dependency parse, tag or lemma. Named entities alone cost about a
third of a published English pipeline."""


def pipeline_folder(pipeline: str) -> Path:
    """The folder of a spaCy pipeline.

    Args:
        pipeline: `embedded`, the name of an installed package such as `en_core_web_sm`, or the path
            of a folder written by `nlp.to_disk`.

    Raises:
        ValueError: there is no such pipeline; the sentence names how to get one.
    """
    if pipeline == EMBEDDED:
        return EMBEDDED_PATH
    if package := _package_folder(pipeline):
        return next((found.parent for found in package.glob("*/config.cfg")), package)
    folder = Path(pipeline)
    if (folder / "config.cfg").is_file():
        return folder
    raise ValueError(
        f"spaCy pipeline {pipeline!r} is neither an installed package nor a folder with a config.cfg; "
        f"get a published one with `python -m spacy download en_core_web_sm`, "
        f"or use pipeline={EMBEDDED!r}, which comes with relforge"
    )


def _package_folder(name: str) -> Path | None:
    """Where the module of an installed distribution is, found without importing it or spaCy."""
    try:
        distribution(name)
        spec = find_spec(name)
    except (PackageNotFoundError, ModuleNotFoundError, ValueError):
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


def pipeline_files(pipeline: str) -> Sequence[str]:
    """Every file of the pipeline, sorted: their content decides its parses."""
    folder = pipeline_folder(pipeline)
    return sorted(
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != LICENCE
    )


def load_pipeline(pipeline: str) -> Language:
    """Load a pipeline without the components a scene graph has no use for.

    Raises:
        ValueError: there is no such pipeline, or it lacks what noun chunks need (a dependency
            parser and part-of-speech tags).
    """
    import spacy
    from spacy.util import load_config

    folder = pipeline_folder(pipeline)
    components = load_config(folder / "config.cfg").get("components", {})
    unused = [name for name, part in components.items() if part.get("factory") in UNUSED_FACTORIES]
    nlp = spacy.load(folder, exclude=unused)
    if "parser" not in nlp.pipe_names:
        raise ValueError(
            f"spaCy pipeline {pipeline!r} has no dependency parser (it has {', '.join(nlp.pipe_names)}); "
            f"choose one that has, such as {EMBEDDED!r} or 'en_core_web_sm'"
        )
    return nlp
