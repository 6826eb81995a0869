"""Every stage backend the user can choose by name, and how to build it.

Entries are `module:attribute` so that choosing a rule tagger never imports torch. A new backend is one line
here, and so is a new stage. A config may also name either as `package.module:Class`.
"""

from __future__ import annotations

from typing import Any

from relforge.contracts import Builds
from relforge.models.fetched import resolve_pinned
from relforge.registry import Registry
from relforge.stages.contract import Source, Stage

STAGE = Builds(("files", "setup", "process"), "relforge.stages.contract.Stage")
SOURCE = Builds(("files", "shards"), "relforge.stages.contract.Source")

BACKENDS: dict[str, Registry] = {
    stage: Registry(f"{stage} backend", entries, contract=STAGE)
    for stage, entries in {
        "caption": {
            "import": "relforge.stages.caption.import_:import_captions",
            "oracle": "relforge.stages.caption.oracle:oracle",
            "blip": "relforge.stages.caption.blip:stage",
            "lavis": "relforge.stages.caption.lavis:stage",
            "transformers": "relforge.stages.caption.transformers:stage",
            "vlm": "relforge.stages.caption.vlm:stage",
            "vlm_pairs": "relforge.stages.caption.vlm_pairs:stage",
        },
        "propose": {
            "vlm": "relforge.stages.propose.vlm:stage",
            "prior": "relforge.stages.propose.prior:PriorProposals",
        },
        "relabel": {
            "detector": "relforge.stages.relabel.detector:stage",
            "rtagger": "relforge.stages.relabel.rtagger:stage",
        },
        "parse": {
            "relforge": "relforge.stages.parse.learned.parser:stage",
            "sng_parser": "relforge.stages.parse.sng:stage",
            "flan_t5": "relforge.stages.parse.flan:stage",
        },
        "match": {
            "synonyms": "relforge.stages.match.stage:MatchStage",
        },
        "ground": {
            "none": "relforge.stages.ground.none:stage",
            "nearest": "relforge.stages.ground.nearest:stage",
            "learned": "relforge.stages.ground.learned:stage",
        },
        "tag": {
            "rule": "relforge.stages.tag.rule:RuleTagger",
            "rtagger": "relforge.stages.tag.rtagger:stage",
            "clip": "relforge.stages.tag.clip:stage",
            "vlm": "relforge.stages.tag.vlm:stage",
        },
        "select": {
            "select": "relforge.stages.select.stage:SelectStage",
        },
        "image_support": {
            "recogniser": "relforge.stages.image_support.stage:ImageSupportStage",
        },
        "similarity": {
            "clip": "relforge.stages.similarity.clip:stage",
            "blip": "relforge.stages.similarity.blip:stage",
        },
        "image_labels": {
            "interactions": "relforge.stages.image_labels.stage:ImageLabelsStage",
        },
    }.items()
}
"""stage -> its backends; what an entry names takes the backend's options by keyword."""

SOURCES = Registry(
    "dataset format",
    {
        "coco": "relforge.stages.ingest.coco:CocoSource",
        "objects365": "relforge.stages.ingest.objects365:objects365",
        "openimages": "relforge.stages.ingest.open_images:OpenImagesSource",
        "parquet": "relforge.stages.ingest.parquet:ParquetSource",
        "rlipv2": "relforge.stages.ingest.rlipv2:rlipv2",
        "vg150": "relforge.stages.ingest.vg150:Vg150Source",
        "visual_genome": "relforge.stages.ingest.visual_genome:VisualGenomeSource",
    },
    contract=SOURCE,
)
"""Source adapters; what an entry names takes the adapter's options by keyword."""

IMPORTERS = Registry(
    "annotation tool",
    {"label-studio": "relforge.stages.corrections.label_studio:read_corrections"},
    own=False,
)
"""Readers of what people corrected; called as `read(path, boxes_of, sizes)`, see the first."""


def backends(stage: str) -> Registry:
    """The backends of a stage; a stage that has no entry takes `package.module:Class` only."""
    return BACKENDS.get(stage, Registry(f"{stage} backend", {}, contract=STAGE))


def build(stage: str, backend: str, **options: Any) -> Stage:
    """Construct (without loading anything) the named backend of a stage.

    Args:
        stage: a key of `BACKENDS`, or a stage of the user's own.
        backend: a name in `backends(stage)`, or `package.module:Class`.
        options: keyword arguments of the backend's constructor, as written in the config.

    Raises:
        ValueError: an unknown backend, naming the choices.
    """
    built: Stage = backends(stage).load(backend)(**options)
    return built


def build_source(adapter: str, **options: Any) -> Source:
    """Construct a source adapter by its name in `SOURCES`, or `package.module:Class`.

    Args:
        options: of the adapter; a pinned name (`models.fetched`) stands for the path of what was fetched.

    Raises:
        ValueError: an unknown adapter, naming the choices.
        FileNotFoundError: a pinned name that has not been fetched.
    """
    source: Source = SOURCES.load(adapter)(**{name: resolve_pinned(one) for name, one in options.items()})
    return source
