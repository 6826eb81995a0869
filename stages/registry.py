"""Every stage backend the user can choose by name, and how to build it.

Values are `module:attribute` so that choosing a rule tagger never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from relforge.stages.contract import Source, Stage

BACKENDS: dict[str, dict[str, str]] = {
    "caption": {
        "import": "relforge.stages.caption.import_:ImportedCaptions",
        "oracle": "relforge.stages.caption.oracle:OracleCaptions",
        "blip": "relforge.stages.caption.blip_stage:BlipStage",
        "lavis": "relforge.stages.caption.lavis:LavisStage",
        "transformers": "relforge.stages.caption.generic:TransformersStage",
    },
    "parse": {
        "relforge": "relforge.stages.parse.backends:relforge",
        "sng_parser": "relforge.stages.parse.backends:sng_parser",
        "flan_t5": "relforge.stages.parse.backends:flan_t5",
    },
    "match": {
        "synonyms": "relforge.stages.match.stage:MatchStage",
    },
    "tag": {
        "rule": "relforge.stages.tag.rule:RuleTagger",
        "rtagger": "relforge.stages.tag.rtagger:RTaggerStage",
        "clip": "relforge.stages.tag.clip:ClipTagger",
    },
    "select": {
        "select": "relforge.stages.select.stage:SelectStage",
    },
}
"""stage -> backend name -> `module:class`; the class takes the backend's options by keyword."""

SOURCES: dict[str, str] = {
    "coco": "relforge.stages.ingest.coco:CocoSource",
    "objects365": "relforge.stages.ingest.objects365:objects365",
    "openimages": "relforge.stages.ingest.open_images:OpenImagesSource",
    "parquet": "relforge.stages.ingest.parquet:ParquetSource",
    "rlipv2": "relforge.stages.ingest.visual_genome:rlipv2",
    "visual_genome": "relforge.stages.ingest.visual_genome:VisualGenomeSource",
}
"""source adapter -> `module:class`; the class takes the adapter's options by keyword."""


def build(stage: str, backend: str, **options: Any) -> Stage:
    """Construct (without loading anything) the named backend of a stage.

    Args:
        stage: a key of `BACKENDS`.
        backend: a key of `BACKENDS[stage]`, or `package.module:Class` for a user's own.
        options: keyword arguments of the backend's constructor, as written in the config.

    Raises:
        ValueError: an unknown stage or backend, naming the choices.
    """
    if stage not in BACKENDS:
        raise ValueError(f"unknown stage {stage!r}; choose one of {', '.join(BACKENDS)}")
    target = BACKENDS[stage].get(backend, backend)
    if ":" not in target:
        choices = ", ".join(sorted(BACKENDS[stage]))
        raise ValueError(
            f"unknown {stage} backend {backend!r}; choose one of {choices}, or give module:Class"
        )
    stage_object: Stage = _load(target)(**options)
    return stage_object


def build_source(adapter: str, **options: Any) -> Source:
    """Construct a source adapter by its name in `SOURCES`, or `package.module:Class`.

    Raises:
        ValueError: an unknown adapter, naming the choices.
    """
    target = SOURCES.get(adapter, adapter)
    if ":" not in target:
        choices = ", ".join(sorted(SOURCES))
        raise ValueError(f"unknown dataset format {adapter!r}; choose one of {choices}, or give module:Class")
    source: Source = _load(target)(**options)
    return source


def _load(target: str) -> Any:
    module, attribute = target.split(":")
    return getattr(import_module(module), attribute)
