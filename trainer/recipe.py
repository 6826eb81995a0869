"""What recipes share: settings from YAML, the model they start from, and the folder they leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from relforge.data import sources
from relforge.data.batches import Batch, Batches, BatchOptions
from relforge.data.relations import RelationData
from relforge.models.checkpoint import Blueprint, load_model, save_model
from relforge.models.rlipv2.model import RelationModel
from relforge.models.rlipv2.sizes import Sizes
from relforge.tagger.denoising import Noise
from relforge.trainer import loop, processes
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.tokenizer import train_tokenizer

S = TypeVar("S")


@dataclass(frozen=True)
class Settings:
    """A training run, as its YAML file has it.

    Args:
        out: folder of snapshots, the log and the finished model (`out/model`).
        data: see `trainer.data.sources.load`.
        model: `kind` and `sizes` (fields of `Sizes`), `backbone` and `text` as in `Blueprint`; `text` may
            also name a Hugging Face encoder (roberta-base by default). Or `start`: a model folder to
            start from; with another `kind` beside it, the parts that both kinds have are taken over, as
            when ParSeD starts from an R-Tagger (paper, Table 4).
        epochs, steps: length of the run; `steps` wins.
        batch, optimisation: fields of `BatchOptions` and `Optimisation`.
        noise: fields of `tagger.denoising.Noise` (R-Tagger only).
        published: reproduce the published training where it differs from its paper: file-order cap.
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
    known(settings.noise, Noise, "noise.")
    allowed = ("kind", "start") if "start" in settings.model else ("kind", "backbone", "text", "sizes")
    choose_from(settings.model, allowed, "model.")
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
    """The training set, capped at the model's pair queries."""
    return sources.load_relations(
        settings.data, max_pairs=settings.batch.max_pairs, first_rows=settings.published
    )


def start_model(
    settings: Settings, data: RelationData
) -> tuple[RelationModel, Blueprint, PreTrainedTokenizerBase]:
    """The model that training begins with, what it is built from, and its tokenizer.

    Raises:
        ValueError: an unknown kind, backbone or size; a folder that holds no model.
    """
    torch.manual_seed(settings.seed)
    wanted = settings.model
    if "start" in wanted:
        loaded = load_model(wanted["start"])
        blueprint = replace(loaded.blueprint, classes=tuple(data.categories))
        tokenizer = AutoTokenizer.from_pretrained(wanted["start"])
        kind = wanted.get("kind", blueprint.kind)
        if kind == blueprint.kind:
            return loaded.model, blueprint, tokenizer
        # ordered pairs are of the R-Tagger alone, whose pairs are given
        ordered = blueprint.sizes.ordered_pairs and kind == "rtagger"
        sizes = replace(blueprint.sizes, pairs=settings.batch.max_pairs, ordered_pairs=ordered)
        blueprint = replace(blueprint, kind=kind, sizes=sizes)
        model = blueprint.build(tokenizer)
        _take_over(model, loaded.model)
        return model, blueprint, tokenizer
    given = {**wanted.get("sizes", {}), "pairs": settings.batch.max_pairs}
    known(given, Sizes, "model.sizes.")
    text = wanted.get("text", "roberta-base")
    encoder = None
    if isinstance(text, str):
        encoder, tokenizer = AutoModel.from_pretrained(text), AutoTokenizer.from_pretrained(text)
        text = encoder.config.to_diff_dict() | {"model_type": encoder.config.model_type}
    else:
        tokenizer = train_tokenizer([*data.categories, *data.predicates], text.get("vocab_size", 1000))
        text = {**text, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    blueprint = Blueprint(
        wanted["kind"], Sizes(**given), wanted.get("backbone", "resnet50"), text, tuple(data.categories)
    )
    model = blueprint.build(tokenizer)
    if encoder is not None:
        model.text_encoder.model.load_state_dict(encoder.state_dict())
    return model, blueprint, tokenizer


def _take_over(model: RelationModel, source: RelationModel) -> None:
    """Weights of `source` for every tensor that `model` has under the same name and shape."""
    own = model.state_dict()
    shared = {
        name: value
        for name, value in source.state_dict().items()
        if name in own and own[name].shape == value.shape
    }
    model.load_state_dict(own | shared)


def train_and_save(
    settings: Settings, kinds: Sequence[str], step_loss: loop.StepLoss[Batch], group: processes.Processes
) -> Path:
    """What every recipe does with its own `step_loss`: data, batches, model, training, the finished folder.

    Args:
        settings: of the run.
        kinds: model kinds that `step_loss` can train.
        group: this process among the others.

    Returns:
        The finished model's folder; where there is a moving average, the model that is averaged.

    Raises:
        ValueError: a model of another kind, or `noise` for one that is not trained by denoising.
    """
    data = load_data(settings)
    batches = Batches(data, settings.batch, settings.seed, group.rank, group.world_size)
    steps = settings.length(batches.steps_per_epoch)
    model, blueprint, tokenizer = start_model(settings, data)
    if blueprint.kind not in kinds:
        raise ValueError(f"model.kind: this recipe trains {' or '.join(kinds)}, not {blueprint.kind}")
    if settings.noise and blueprint.kind != "rtagger":
        raise ValueError(f"noise: {blueprint.kind} is not trained by denoising; leave it out")
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
            metrics={"steps": steps, "seed": settings.seed, "pictures": len(data)},
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
