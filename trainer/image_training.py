"""What the recipes of image-level models share: settings, the model to start from, one training run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from relforge.data.image_label_batches import ImageBatchOptions, ImageLabelBatch, ImageLabelBatches
from relforge.data.image_labels import ImageLabels, read_image_labels
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import save_model
from relforge.models.image_recogniser import ImageRecogniser, image_recogniser
from relforge.models.language_head import load_head, rows_of
from relforge.models.published import load_pretrained
from relforge.models.training.image_losses import WEIGHTED
from relforge.models.zoo import family
from relforge.stages.image_labels.table import POSITIVE
from relforge.stages.interactions import Interactions
from relforge.trainer import loop, processes
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.settings import choose_from, known, read_settings

DATA = ("source", "labels", "split", "images", "interactions", "limit")
MODEL = ("kind", "sizes", "backbone", "rows", "start")


@dataclass(frozen=True)
class ImageSettings:
    """A training run of a model of whole images, as its YAML file has it.

    Args:
        out: folder of snapshots, curves, `metrics.json` and the finished model (`out/model`).
        data: `source` with the options of `data.image_labels.read_image_labels`, and `limit`, first images.
        model: `kind` (a name of the zoo) and `sizes`; `backbone` and `rows`, what to start from: a vision
            transformer, and the folder of a language head. Or `start`, a model of these interactions.
        recipe: `image_level` or `hts`.
        losses: options of the model's losses, such as `loss: bce`.
        judge: options of `relforge eval hico_image`, to measure the finished model with; {}: no measure.
        empty_weight: of hts, weight of images without a positive label.
        rounds: of hts, 2 to train again on labels that the first student has voted on as well.
        held_out: of hts, share of the images that calibrate the first student's vote.
        revote: of hts, the joint vote from which a label is positive in the second round.
        half, threads, save_every, log_every, epochs, steps, seed, batch, optimisation: as in other recipes.
    """

    neutral_options: ClassVar = ("threads",)  # changing these leaves a stopped training as it is

    out: str
    data: dict[str, Any]
    model: dict[str, Any]
    recipe: str = "image_level"
    seed: int = 0
    epochs: float = 10
    steps: int | None = None
    batch: ImageBatchOptions = field(default_factory=ImageBatchOptions)
    optimisation: Optimisation = field(default_factory=Optimisation)
    losses: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    empty_weight: float = 0.2
    rounds: int = 1
    held_out: float = 0.1
    revote: float = 0.3
    half: bool = False
    threads: int | None = None
    save_every: int = 500
    log_every: int = 20

    def length(self, steps_per_epoch: int) -> int:
        """Steps of the run."""
        return self.steps if self.steps is not None else max(1, round(self.epochs * steps_per_epoch))


HTS_ONLY = ("empty_weight", "rounds", "held_out", "revote")


def image_settings(values: Mapping[str, Any], recipe: str) -> ImageSettings:
    """Settings from a mapping.

    Raises:
        ValueError: an unknown or missing key, one of the other recipe, or a value that cannot be.
    """
    settings = read_settings(values, ImageSettings, ImageBatchOptions)
    choose_from(settings.data, DATA, "data.")
    choose_from(settings.model, ("kind", "start") if "start" in settings.model else MODEL, "model.")
    if recipe == "image_level" and (given := [name for name in HTS_ONLY if name in values]):
        raise ValueError(f"{given[0]}: only the recipe hts has it; leave it out or write `recipe: hts`")
    if "source" not in settings.data:
        raise ValueError("data.source is missing: a run folder, anno.mat, or the same as JSON")
    if settings.rounds not in (1, 2):
        raise ValueError(f"rounds: {settings.rounds}; choose 1 or 2")
    if not 0 < settings.held_out < 1 or not 0 <= settings.empty_weight <= 1:
        raise ValueError("held_out and empty_weight: give shares between 0 and 1")
    return settings


def read_data(settings: ImageSettings, labels: str) -> ImageLabels:
    """The labelled images of the settings' `data`; `labels` where they name none."""
    options = {"labels": labels} | {k: v for k, v in settings.data.items() if k != "limit"}
    data = read_image_labels(options.pop("source"), **options)
    limit = settings.data.get("limit")
    if limit is not None:
        data = data.take(np.arange(min(int(limit), len(data))))
    if not (data.states == POSITIVE).any():
        raise ValueError(f"data.source: {settings.data['source']} has no positive label")
    if None in [uri or one for uri, one in zip(data.uris, data.embedded, strict=True)]:
        raise ValueError("data.images: say in which folder the images are")
    return data


def start_images(settings: ImageSettings, interactions: Interactions) -> tuple[nn.Module, Blueprint]:
    """The model that training begins with, and what it is built from.

    Raises:
        FileNotFoundError: a backbone or a model is not there.
        ValueError: a kind that labels no images, or parts that do not fit.
    """
    torch.manual_seed(settings.seed)
    options = settings.model
    if "start" in options:
        loaded = load_pretrained(str(options["start"]), trusted=options.get("kind"))
        if tuple(loaded.blueprint.interactions) != interactions:
            raise ValueError(
                f"model.start: {options['start']} tells other interactions than the data; name its table as "
                "data.interactions"
            )
        return loaded.model, loaded.blueprint
    if "kind" not in options:
        raise ValueError("model.kind is missing: say which model of the zoo to build, e.g. defr")
    entry = family(options["kind"])
    if entry.targets != "images":
        raise ValueError(f"model.kind: {entry.name} does not label whole images; choose defr")
    sizes = dict(options.get("sizes", {}))
    known(sizes, entry.sizes, "model.sizes.")
    objects, verbs = (tuple(sorted({pair[end] for pair in interactions})) for end in (1, 0))
    blueprint = Blueprint(options["kind"], entry.sizes(**sizes), None, None, objects, verbs, interactions)
    model = blueprint.build(None)
    rows = options.get("rows")
    image_recogniser(model, entry.name).start_from(
        options.get("backbone"), None if rows is None else rows_of(load_head(rows), interactions)
    )
    return model, blueprint


def train_images(
    settings: ImageSettings,
    data: ImageLabels,
    targets: np.ndarray,
    weights: np.ndarray,
    out: Path,
    group: processes.Processes,
) -> nn.Module:
    """One training run, or what is left of it.

    Args:
        targets, weights: N x C float32, see `ImageLabelBatches`.
        out: folder of its snapshots; the model is saved in `out/model`.

    Returns:
        The finished model, in evaluation mode.
    """
    model, blueprint = start_images(settings, data.interactions)
    recogniser = image_recogniser(model, blueprint.kind)
    entry = family(blueprint.kind)
    choose_from(settings.losses, ["loss"], "losses.")
    extra: dict[str, Any] = {}
    batches = ImageLabelBatches(
        data,
        targets,
        weights,
        settings.batch,
        recogniser,
        settings.seed,
        group.rank,
        group.world_size,
        threads=group.loading_threads(settings.threads),
        pinned=group.device.type == "cuda",
    )
    if settings.losses.get("loss") == WEIGHTED:
        counts = targets[batches.rows].sum(0)
        extra["positive_weight"] = ((len(batches.rows) - counts) / np.maximum(counts, 1)).tolist()
    losses = entry.losses(**settings.losses, **extra)

    def step_loss(model: nn.Module, batch: ImageLabelBatch, _: torch.Generator) -> dict[str, Tensor]:
        return losses(model(batch.images), batch.image_targets, 1.0)

    steps = settings.length(batches.steps_per_epoch)
    data_hash = _hash(data, targets, weights)
    kept = {k: v for k, v in asdict(settings).items() if k not in ("judge", *settings.neutral_options)}
    average = loop.train(
        model,
        batches,
        step_loss,
        settings.optimisation,
        steps=steps,
        out=out,
        seed=settings.seed,
        processes=group,
        settings=kept | {"data_hash": data_hash},
        save_every=settings.save_every,
        log_every=settings.log_every,
        backbone_prefixes=entry.backbone_prefixes,
    )
    if average:
        model.load_state_dict(model.state_dict() | average.state)
    if group.first:
        save_model(
            out / "model",
            model,
            blueprint,
            None,
            metrics={"steps": steps, "seed": settings.seed, "images": len(data)},
            made_by=f"relforge train ({settings.recipe})",
            data_hash=data_hash,
            half=settings.half,
        )
    return model.eval()


def as_recogniser(model: nn.Module) -> ImageRecogniser:
    """The model by its protocol; `start_images` has checked it."""
    return cast(ImageRecogniser, model)


def _hash(data: ImageLabels, *arrays: np.ndarray) -> str:
    digest = hashlib.sha256(data.sha256.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def supervised(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets and weights of annotated labels: anything but a positive is a negative, as published."""
    return (states == POSITIVE).astype(np.float32), np.ones(states.shape, np.float32)
