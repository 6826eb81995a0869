"""What a recipe does around its losses: data, model, training, and the folder it leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path

from relforge.data import sources
from relforge.data.batches import Batch, Batches
from relforge.data.boxes import load_boxes
from relforge.data.closed_names import rename_labels
from relforge.data.label_lists import ClosedLabels
from relforge.data.relations import RelationData
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import save_model
from relforge.models.family import Family, Losses, PairSource
from relforge.models.zoo import family
from relforge.trainer import assignment, loop, processes
from relforge.trainer.label_counts import counts_of, label_list
from relforge.trainer.settings import Settings, choose_from
from relforge.trainer.start import start_model


def load_data(settings: Settings) -> RelationData:
    """The training set, with at most `batch.max_pairs` pairs per image, in the names of a list if one is
    named; boxes alone for a detector. What is left out is printed by reason."""
    if "kind" in settings.model and family(settings.model["kind"]).targets == "boxes":
        return load_boxes(settings.data)
    data = sources.load_relations(
        settings.data, max_pairs=settings.batch.max_pairs, first_rows=settings.published
    )
    for reason, count in data.reasons.items():
        print(f"data: {count:,} {reason} left out")
    labels = label_list(settings)
    if labels is None:
        return data
    named = rename_labels(data, labels)
    for reason, count in (named.reasons - data.reasons).items():
        print(f"labels {settings.labels}: {count:,} {reason} left out")
    return named


def build_losses(entry: Family, settings: Settings, blueprint: Blueprint | None = None) -> Losses:
    """The losses of a model under the settings' `losses` and `published`.

    Args:
        blueprint: of the model; losses that take `counts` get those of the training data in its labels.
            None: they get none.

    Raises:
        ValueError: an option that the model's losses do not have, or a value they refuse.
    """
    parameters = signature(entry.losses).parameters
    choose_from(settings.losses, [n for n in parameters if n not in ("published", "counts")], "losses.")
    given = dict(settings.losses)
    if "counts" in parameters and blueprint is not None:
        given["counts"] = counts_of(settings, blueprint)
    return entry.losses(published=settings.published, **given)


def build_noise(entry: Family, settings: Settings) -> PairSource | None:
    """What gives the model its pairs under the settings' `noise`; None for a model that searches.

    Raises:
        ValueError: an unknown option, or `noise` for a model that searches.
    """
    if entry.noise is None:
        if settings.noise:
            raise ValueError(f"noise: {entry.name} is not given any pairs; leave it out")
        return None
    choose_from(settings.noise, list(signature(entry.noise).parameters), "noise.")
    return entry.noise(**settings.noise)


def train_and_save(
    settings: Settings,
    make_step_loss: Callable[[Family, Losses], loop.StepLoss[Batch]],
    group: processes.Processes,
) -> Path:
    """Data, batches, model, training, the finished folder.

    Args:
        settings: of the run.
        make_step_loss: a model's entry in the zoo and its losses -> what is minimised.
        group: this process among the others.

    Returns:
        The finished model's folder; where there is a moving average, the model that is averaged.

    Raises:
        ValueError: settings that do not fit each other or the model.
    """
    data = load_data(settings)
    model, blueprint, tokenizer = start_model(settings, data)
    entry = family(blueprint.kind)
    losses = build_losses(entry, settings, blueprint)
    if settings.assign:
        model, blueprint = assignment.prepare(settings, data, model, blueprint, tokenizer)
    else:
        blueprint = replace(blueprint, predicate_groups=None)
    losses = assignment.assign_by_groups(losses, entry, settings, blueprint, data, group.mean)
    step_loss = make_step_loss(entry, losses)
    closed = _closed_labels(entry, blueprint, data, settings)
    accumulate = settings.optimisation.accumulate
    batches = Batches(
        data,
        settings.batch,
        settings.seed,
        group.rank,
        group.world_size,
        labels=closed,
        batches_per_step=accumulate,
        threads=group.loading_threads(settings.threads),
        pinned=group.device.type == "cuda",
    )
    steps = batches.steps = settings.length(batches.steps_per_epoch / accumulate)
    kept = {k: v for k, v in asdict(settings).items() if k not in settings.neutral_options}
    average = loop.train(
        model,
        batches,
        step_loss,
        settings.optimisation,
        steps=steps,
        out=Path(settings.out),
        seed=settings.seed,
        processes=group,
        settings=kept | {"data_hash": data_hash(data)} | groups_hash(blueprint),
        save_every=settings.save_every,
        log_every=settings.log_every,
        backbone_prefixes=entry.backbone_prefixes,
        # terms of a recipe's own may leave a head without a gradient
        all_used=entry.all_used and not settings.losses and not settings.assign,
    )
    if average:
        model.load_state_dict(model.state_dict() | average.state)
    finished = Path(settings.out) / "model"
    if group.first:
        save_model(
            finished,
            model,
            blueprint,
            tokenizer,
            metrics={"steps": steps, "seed": settings.seed, "images": len(data)},
            made_by=f"relforge train ({blueprint.kind})",
            data_hash=data_hash(data),
            half=settings.half,
        )
    return finished


def _closed_labels(
    entry: Family, blueprint: Blueprint, data: RelationData, settings: Settings
) -> ClosedLabels | None:
    """The lists of every batch; None where each batch draws its own."""
    if entry.labels == "closed":
        if settings.labels == "open":
            raise ValueError(f"labels: {entry.name} has a head for every label; leave open out")
        return ClosedLabels(data, blueprint.classes, blueprint.relations, blueprint.interactions)
    return None if settings.labels in (None, "open") else ClosedLabels(data)


def groups_hash(blueprint: Blueprint) -> dict[str, str]:
    """Of the counts that the groups of predicates come from, which may be a file's."""
    groups = blueprint.predicate_groups
    return {} if groups is None else {"predicate_groups": groups.sha256}


def data_hash(data: RelationData) -> str:
    """SHA-256 of what was trained on: ids, boxes, pairs, relations and their names."""
    digest = hashlib.sha256(json.dumps([data.categories, data.predicates]).encode())
    digest.update("\n".join(data.images["image_id"].to_pylist()).encode())
    for array in (data.boxes, data.box_category, data.box_start, data.pairs, data.pair_start, data.relations):
        digest.update(array.tobytes())
    return digest.hexdigest()
