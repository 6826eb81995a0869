"""The model that a training begins with: new, saved, published, or a converted detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from relforge.data.relations import RelationData
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import load_tokenizer
from relforge.models.files import PUBLISHED_SUFFIXES, resolve_model
from relforge.models.published import (
    load_pretrained,
    published_blueprint,
    read_published,
    start_from_boxes,
    start_from_detector,
)
from relforge.models.query_tables import cut_queries
from relforge.models.zoo import family
from relforge.trainer.label_counts import counts_of
from relforge.trainer.settings import Settings, choose_from, known
from relforge.trainer.tokenizer import train_tokenizer

CHANGEABLE = ("pair_geometry", "pair_pixels")
"""Sizes that an R-Tagger to start from may get anew: what they add is zero at first."""


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
        if published_blueprint(state) is None:  # a detector that was converted to the model's names
            model, blueprint, tokenizer = _new_model(settings, data)
            count = start_from_detector(model, state, blueprint, options.get("keep_random", ()))
            print(f"{path}: {count} of {len(model.state_dict())} tensors start from the detector")
            return model, blueprint, tokenizer
    words = options.get("tokenizer", "roberta-base")
    loaded = load_pretrained(
        options["start"], tokenizer=words, gate=options.get("gate"), trusted=options.get("kind")
    )
    kind = options.get("kind", loaded.blueprint.kind)
    if family(loaded.blueprint.kind).targets == "boxes" and kind != loaded.blueprint.kind:
        model, blueprint, tokenizer = _new_model(settings, data, loaded.blueprint.backbone)
        count = start_from_boxes(model, loaded, blueprint, options.get("keep_random", ()))
        print(f"{path}: {count} of {len(model.state_dict())} tensors start from the detector")
        return model, blueprint, tokenizer
    of_file = ("tokenizer", "gate") if path.suffix in PUBLISHED_SUFFIXES else ()
    sizes = ("sizes",) if kind == "rtagger" else ()
    choose_from(options, ("kind", "start", "pairs", "words", *sizes, *of_file), "model.")
    changed = dict(options.get("sizes", {}))
    choose_from(changed, CHANGEABLE, "model.sizes.")
    pairs: Any = getattr(loaded.blueprint.sizes, "pairs", None)
    blueprint = replace(loaded.blueprint, **_label_names(kind, data))
    tokenizer = load_tokenizer(words if path.suffix in PUBLISHED_SUFFIXES else path, blueprint)
    kept = options.get("pairs", pairs)
    if kind == blueprint.kind and kept == pairs and not changed and _fits(loaded.blueprint, blueprint):
        if "words" in options:
            _prepare(loaded.model, blueprint, settings)
        return loaded.model, blueprint, tokenizer
    if kind != blueprint.kind:
        blueprint = replace(blueprint, kind=kind, sizes=_adapt_sizes(kind, blueprint.sizes, settings))
    weights = loaded.model.state_dict()
    if "pairs" in options:
        if pairs is None:
            raise ValueError(f"model.pairs: a {loaded.blueprint.kind} model has no pair queries")
        weights = cut_queries(weights, pairs, kept, published=settings.published)
        blueprint = replace(blueprint, sizes=replace(blueprint.sizes, pairs=kept))
    blueprint = replace(blueprint, sizes=replace(blueprint.sizes, **changed))
    model = blueprint.build(tokenizer)
    take_over(model, weights)
    known_labels = (loaded.blueprint.kind, len(loaded.blueprint.classes), len(loaded.blueprint.relations))
    # equally many labels are taken for the same ones: published files do not name theirs
    if "words" in options or known_labels != (kind, len(blueprint.classes), len(blueprint.relations)):
        _prepare(model, blueprint, settings)
    return model, blueprint, tokenizer


def _prepare(model: nn.Module, blueprint: Blueprint, settings: Settings) -> None:
    """Fill in what the model knows of its labels beforehand, in place."""
    words = settings.model.get("words")
    entry = family(blueprint.kind)
    if entry.prepare is not None:
        entry.prepare(model, blueprint, counts_of(settings, blueprint), words)
    elif words is not None:
        raise ValueError(f"model.words: a {blueprint.kind} model has no use for word vectors; leave it out")


def _fits(old: Blueprint, new: Blueprint) -> bool:
    """Whether a model's heads can stay: open labels have none of their own."""
    same = (old.classes, old.relations, old.interactions) == (new.classes, new.relations, new.interactions)
    return family(old.kind).labels == "open" or same


def _label_names(kind: str, data: RelationData) -> dict[str, Any]:
    """The label names of a training set, as `Blueprint` holds them."""
    names: dict[str, Any] = {"classes": tuple(data.categories), "relations": tuple(data.predicates)}
    if family(kind).targets == "images":
        names["interactions"] = interactions_of(data)
    return names


def interactions_of(data: RelationData) -> tuple[tuple[str, str], ...]:
    """The distinct (relation, object class) pairs of a training set, in the order of its names."""
    pair = np.repeat(np.arange(len(data.pairs)), np.diff(data.relation_start))  # of every relation
    codes = np.unique(np.stack([data.relations, data.object_categories()[pair]], 1), axis=0)
    return tuple((data.predicates[relation], data.categories[object_]) for relation, object_ in codes)


def _new_model(
    settings: Settings, data: RelationData, backbone: str | Mapping[str, Any] | None = "resnet50"
) -> tuple[nn.Module, Blueprint, PreTrainedTokenizerBase | None]:
    """A model with random weights, but for a text encoder that is named by its hub name or folder.

    Args:
        backbone: where the settings name none.
    """
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
            encoder, tokenizer = (
                loader.from_pretrained(resolve_model(text).path, trust_remote_code=False)
                for loader in (AutoModel, AutoTokenizer)
            )
            text = encoder.config.to_diff_dict() | {"model_type": encoder.config.model_type}
        else:
            names = [*data.categories, *data.predicates]
            tokenizer = train_tokenizer(names, text.get("vocab_size", 1000))
            text = {**text, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    blueprint = Blueprint(
        options["kind"],
        entry.sizes(**given),
        options.get("backbone", backbone),
        text,
        **_label_names(options["kind"], data),
    )
    model = blueprint.build(tokenizer)
    if encoder is not None:
        body = model.get_submodule("text_encoder").get_submodule("model")
        body.load_state_dict(encoder.state_dict())
    _prepare(model, blueprint, settings)
    return model, blueprint, tokenizer


def _adapt_sizes(kind: str, sizes: Any, settings: Settings) -> Any:
    """The sizes of a model that starts from one of another kind, which was built from `sizes`."""
    entry = family(kind)
    names = [f.name for f in fields(entry.sizes)]
    if entry.adapt_sizes is not None:
        adapted = entry.adapt_sizes(sizes)
    else:
        adapted = entry.sizes(**{name: value for name, value in asdict(sizes).items() if name in names})
    return replace(adapted, pairs=settings.batch.max_pairs) if "pairs" in names else adapted


def take_over(model: nn.Module, source: Mapping[str, Tensor]) -> None:
    """Weights of `source`, name -> tensor, where `model` has the same name and shape."""
    own = model.state_dict()
    shared = {name: value for name, value in source.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(own | shared)
