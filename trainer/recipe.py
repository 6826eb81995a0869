"""What recipes share: settings from YAML, the model they start from, and the folder they leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from relforge.data import sources
from relforge.data.batches import Batch, Batches, BatchOptions
from relforge.data.label_lists import ClosedLabels
from relforge.data.relations import RelationData
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import load_tokenizer, save_model
from relforge.models.family import Family
from relforge.models.files import resolve_model
from relforge.models.published import (
    PUBLISHED_SUFFIXES,
    load_pretrained,
    published_blueprint,
    read_published,
    start_from_detector,
)
from relforge.models.zoo import family
from relforge.trainer import loop, processes
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.tokenizer import train_tokenizer

S = TypeVar("S")


@dataclass(frozen=True)
class Settings:
    """A training run, as its YAML file has it.

    Args:
        out: folder of snapshots, the log and the finished model (`out/model`).
        data: see `relforge.data.sources.load_relations`.
        model: `kind` (a name of the zoo) and `sizes` (fields of that model's sizes), `backbone` and `text` as
            in `Blueprint`; `text` may also name a Hugging Face encoder (roberta-base by default). Or `start`:
            a model to start from, as `relforge.models.published.load_pretrained` takes it. With another
            `kind` beside it, the parts that both kinds have are taken over, as when ParSeD starts from an
            R-Tagger (RLIPv2, Table 4). A `.pth` may have `tokenizer` and `gate` beside it; a `.pth` that was
            converted from a detector needs `kind`, `sizes`, `backbone` and `text`, for what it does not hold.
        epochs, steps: length of the run; `steps` wins.
        batch, optimisation: fields of `BatchOptions` and `Optimisation`.
        losses: options of the model's losses, such as `relations: focal` or `weights: {labels: 2}`.
        noise: options of the pairs that the model is given (R-Tagger: fields of `Noise`).
        published: reproduce the published training where it differs from its paper: file-order cap, gradient
            through pseudo-label targets.
        half: store the finished model's weights as float16, half the size.
        save_every, log_every: steps.
    """

    out: str
    data: list[dict[str, Any]]
    model: dict[str, Any]
    seed: int = 0
    epochs: float = 20
    steps: int | None = None
    batch: BatchOptions = field(default_factory=BatchOptions)
    optimisation: Optimisation = field(default_factory=Optimisation)
    losses: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, Any] = field(default_factory=dict)
    published: bool = False
    half: bool = False
    save_every: int = 500
    log_every: int = 20

    def length(self, steps_per_epoch: int) -> int:
        """Steps of the run."""
        return self.steps if self.steps is not None else max(1, round(self.epochs * steps_per_epoch))


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from a mapping.

    Raises:
        ValueError: an unknown or missing key, naming it and the choices.
    """
    settings = read_settings(values, Settings, BatchOptions)
    model = settings.model
    allowed: tuple[str, ...] = ("kind", "backbone", "text", "sizes")
    if "start" in model:
        published = str(model["start"]).endswith(PUBLISHED_SUFFIXES)
        allowed = ("kind", "start", "tokenizer", "gate", *allowed[1:]) if published else ("kind", "start")
    choose_from(model, allowed, "model.")
    return settings


def read_settings(values: Mapping[str, Any], kind: type[S], batch: type) -> S:
    """A recipe's settings, of whichever recipe.

    Args:
        kind: dataclass with the fields `out`, `data`, `model`, `batch`, `optimisation` and its own.
        batch: dataclass of its field `batch`.

    Raises:
        ValueError: an unknown or missing key, naming it and the choices.
    """
    values = dict(values)
    parts: dict[str, Any] = {"batch": batch, "optimisation": Optimisation}
    for key, part in parts.items():
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in values.get(key, {}).items()}
        known(given, part, f"{key}.")
        values[key] = part(**given)
    known(values, kind, "")
    missing = [key for key in ("out", "data", "model") if key not in values]
    if missing:
        raise ValueError(f"a training recipe needs {', '.join(missing)}")
    return kind(**values)


def known(values: Mapping[str, Any], kind: Any, prefix: str) -> None:
    """Refuse keys that are no field of the dataclass `kind`."""
    choose_from(values, [f.name for f in fields(kind)], prefix)


def choose_from(values: Mapping[str, Any], names: Sequence[str], prefix: str) -> None:
    """Refuse keys that are not among `names`: nothing would read them."""
    for key in values:
        if key not in names:
            raise ValueError(
                f"unknown setting {prefix}{key}; choose from {', '.join(prefix + n for n in names)}"
            )


def load_data(settings: Settings) -> RelationData:
    """The training set, with at most `batch.max_pairs` pairs per image."""
    return sources.load_relations(
        settings.data, max_pairs=settings.batch.max_pairs, first_rows=settings.published
    )


def start_model(
    settings: Settings, data: RelationData
) -> tuple[nn.Module, Blueprint, PreTrainedTokenizerBase | None]:
    """The model that training begins with, what it is built from, and its tokenizer.

    Raises:
        FileNotFoundError: the model to start from is not there.
        ValueError: an unknown kind, backbone or size; a file that holds no model.
    """
    torch.manual_seed(settings.seed)
    options = settings.model
    if "start" not in options:
        return _new_model(settings, data)
    path = resolve_model(options["start"]).path
    if path.suffix in PUBLISHED_SUFFIXES:
        state = read_published(path)
        if published_blueprint(state) is None:  # a detector: it holds no text encoder
            model, blueprint, tokenizer = _new_model(settings, data)
            count = start_from_detector(model, state, blueprint)
            print(f"{path}: {count} of {len(model.state_dict())} tensors start from the detector")
            return model, blueprint, tokenizer
        choose_from(options, ("kind", "start", "tokenizer", "gate"), "model.")
    words = options.get("tokenizer", "roberta-base")
    loaded = load_pretrained(options["start"], tokenizer=words, gate=options.get("gate"))
    blueprint = replace(loaded.blueprint, classes=tuple(data.categories), relations=tuple(data.predicates))
    tokenizer = load_tokenizer(words if path.suffix in PUBLISHED_SUFFIXES else path, blueprint)
    kind = options.get("kind", blueprint.kind)
    if kind == blueprint.kind and _fits(loaded.blueprint, blueprint):
        return loaded.model, blueprint, tokenizer
    if kind != blueprint.kind:
        blueprint = replace(blueprint, kind=kind, sizes=_sizes_for(kind, blueprint.sizes, settings))
    model = blueprint.build(tokenizer)
    _take_over(model, loaded.model)
    return model, blueprint, tokenizer


def _fits(old: Blueprint, new: Blueprint) -> bool:
    """Whether a model's heads can stay: open labels have none of their own."""
    same = (old.classes, old.relations) == (new.classes, new.relations)
    return family(old.kind).labels == "open" or same


def _new_model(
    settings: Settings, data: RelationData
) -> tuple[nn.Module, Blueprint, PreTrainedTokenizerBase | None]:
    """A model with random weights, but for a text encoder that is named by its hub name or folder."""
    options = settings.model
    if "kind" not in options:
        raise ValueError("model.kind is missing: say which model of the zoo to build")
    entry = family(options["kind"])
    given = dict(options.get("sizes", {}))
    known(given, entry.sizes, "model.sizes.")
    if "pairs" in (f.name for f in fields(entry.sizes)):
        given["pairs"] = settings.batch.max_pairs
    encoder, tokenizer, text = None, None, None
    if entry.labels == "open":
        text = options.get("text", "roberta-base")
        if isinstance(text, str):
            encoder, tokenizer = AutoModel.from_pretrained(text), AutoTokenizer.from_pretrained(text)
            text = encoder.config.to_diff_dict() | {"model_type": encoder.config.model_type}
        else:
            names = [*data.categories, *data.predicates]
            tokenizer = train_tokenizer(names, text.get("vocab_size", 1000))
            text = {**text, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    blueprint = Blueprint(
        options["kind"],
        entry.sizes(**given),
        options.get("backbone", "resnet50"),
        text,
        tuple(data.categories),
        tuple(data.predicates),
    )
    model = blueprint.build(tokenizer)
    if encoder is not None:
        body = model.get_submodule("text_encoder").get_submodule("model")
        body.load_state_dict(encoder.state_dict())
    return model, blueprint, tokenizer


def _sizes_for(kind: str, sizes: Any, settings: Settings) -> Any:
    """The sizes of a model as those of another kind that starts from it; a switch that the other kind refuses
    goes back to its default."""
    names = [f.name for f in fields(family(kind).sizes)]
    shared = {name: value for name, value in asdict(sizes).items() if name in names}
    if "pairs" in names:
        shared["pairs"] = settings.batch.max_pairs
    if family(kind).noise is None:
        shared.pop("ordered_pairs", None)  # it is for given pairs
    return family(kind).sizes(**shared)


def _take_over(model: nn.Module, source: nn.Module) -> None:
    """Weights of `source` for every tensor that `model` has under the same name and shape."""
    own = model.state_dict()
    shared = {
        name: value
        for name, value in source.state_dict().items()
        if name in own and own[name].shape == value.shape
    }
    model.load_state_dict(own | shared)


def build_losses(entry: Family, settings: Settings) -> Any:
    """The losses of a model under the settings' `losses` and `published`.

    Raises:
        ValueError: an option that the model's losses do not have, or a value they refuse.
    """
    names = [name for name in signature(entry.losses).parameters if name != "published"]
    choose_from(settings.losses, names, "losses.")
    return entry.losses(published=settings.published, **settings.losses)


def build_noise(entry: Family, settings: Settings) -> Any:
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
    make_step_loss: Callable[[Family], loop.StepLoss[Batch]],
    group: processes.Processes,
) -> Path:
    """Data, batches, model, training, the finished folder.

    Args:
        settings: of the run.
        make_step_loss: a model's entry in the zoo -> what is minimised.
        group: this process among the others.

    Returns:
        The finished model's folder; where there is a moving average, the model that is averaged.

    Raises:
        ValueError: settings that do not fit each other or the model.
    """
    data = load_data(settings)
    model, blueprint, tokenizer = start_model(settings, data)
    entry = family(blueprint.kind)
    step_loss = make_step_loss(entry)
    closed = ClosedLabels(data, blueprint.classes, blueprint.relations) if entry.labels == "closed" else None
    batches = Batches(data, settings.batch, settings.seed, group.rank, group.world_size, labels=closed)
    steps = settings.length(batches.steps_per_epoch)
    average = loop.train(
        model,
        batches,
        step_loss,
        settings.optimisation,
        steps=steps,
        out=Path(settings.out),
        seed=settings.seed,
        processes=group,
        settings=asdict(settings) | {"data_hash": data_hash(data)},
        save_every=settings.save_every,
        log_every=settings.log_every,
        backbone_prefixes=entry.backbone_prefixes,
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


def data_hash(data: RelationData) -> str:
    """SHA-256 of what was trained on: ids, boxes, pairs, relations and their names."""
    digest = hashlib.sha256(json.dumps([data.categories, data.predicates]).encode())
    digest.update("\n".join(data.images["image_id"].to_pylist()).encode())
    for array in (data.boxes, data.box_category, data.box_start, data.pairs, data.pair_start, data.relations):
        digest.update(array.tobytes())
    return digest.hexdigest()
