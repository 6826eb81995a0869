"""The `assign` section of a training recipe: SpeaQ's assignment for models that match by cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from relforge.data.relations import RelationData
from relforge.models.blueprint import Blueprint
from relforge.models.family import Family, Losses
from relforge.models.query_tables import repeat_predicate_queries
from relforge.models.training.assign import Matcher
from relforge.models.training.criterion import Criterion
from relforge.models.training.grouped_matching import GroupedMatching
from relforge.models.training.multi_assignment import MultiAssignment
from relforge.models.training.predicate_groups import PredicateGroups
from relforge.models.training.reweighting import Reweighting
from relforge.models.zoo import family
from relforge.trainer.settings import Settings, known
from relforge.trainer.start import take_over


@dataclass(frozen=True)
class AssignOptions:
    """Fields of `assign`; what is left out is as without `assign`.

    Args:
        groups: of predicates, each with pair queries of its own (published: 4).
        multi: fields of `MultiAssignment`: a target is learned by several queries.
        predicate_copies: predicate queries of a pair (published: 2).
        joint: one assignment for all decoder layers. By default each has its own, but for a `speaq` without
            `assign`, which is Iterative SGG.
        max_load: share of a group's queries that repeated targets may take; no bound with `published`.
        counts: where the predicate counts of the groups come from: `training` (the training data), `model`
            (keep the groups of the model to start from), or a JSON file of predicate -> count, in which a
            VG150 dictionary's `predicate_count` is found. By default the training data; a model to start
            from whose groups were made from other counts is then refused.
        reweight: fields of `Reweighting`: rare predicates count more in the loss.
    """

    groups: int | None = None
    multi: MultiAssignment | None = None
    predicate_copies: int | None = None
    joint: bool = False
    max_load: float = 0.5
    counts: str | None = None
    reweight: Reweighting | None = None


def read_assign(values: Mapping[str, Any]) -> AssignOptions:
    """The options of a recipe's `assign`.

    Raises:
        ValueError: an unknown key, or a value of another form.
    """
    known(values, AssignOptions, "assign.")
    read = dict(values)
    for name, kind in (("multi", MultiAssignment), ("reweight", Reweighting)):
        section = read.get(name)
        if section is None:
            continue
        if not isinstance(section, Mapping):
            expected = ", ".join(field.name for field in fields(kind))
            raise ValueError(f"assign.{name}: expected a mapping with {expected}, found {section!r}")
        known(section, kind, f"assign.{name}.")
        read[name] = kind(**section)
    for name in ("groups", "predicate_copies"):
        number = read.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise ValueError(f"assign.{name}: expected a number, 1 or more, found {number!r}")
    load = read.get("max_load", 0.5)
    if isinstance(load, bool) or not isinstance(load, int | float) or not 0 < load <= 1:
        raise ValueError(f"assign.max_load: expected a share of a group's queries, above 0, found {load!r}")
    if not isinstance(read.get("joint", False), bool):
        raise ValueError(f"assign.joint: expected true or false, found {read['joint']!r}")
    if read.get("counts") is not None and read.get("groups") is None:
        raise ValueError("assign.counts is for assign.groups, which is not given; leave counts out")
    return AssignOptions(**read)


def prepare(
    settings: Settings,
    data: RelationData,
    model: nn.Module,
    blueprint: Blueprint,
    tokenizer: PreTrainedTokenizerBase | None,
) -> tuple[nn.Module, Blueprint]:
    """The model with its predicate copies, and its blueprint with the groups of its queries.

    Raises:
        ValueError: options that the model cannot have, named.
    """
    options = read_assign(settings.assign)
    if options.predicate_copies is not None:
        model, blueprint = _with_copies(model, blueprint, tokenizer, options.predicate_copies)
    groups = None
    if options.groups is not None:
        groups = _fit_groups(options, settings, data, blueprint)
    return model, replace(blueprint, predicate_groups=groups)


def assign_by_groups(
    losses: Losses,
    entry: Family,
    settings: Settings,
    blueprint: Blueprint,
    data: RelationData,
    mean: Callable[[Tensor], Tensor],
) -> Losses:
    """The losses with the assignment of the settings; without `assign`, with that of the model.

    Args:
        losses: of the model.
        blueprint: as `prepare` returned it.
        mean: averages a number over the processes.

    Raises:
        ValueError: the model has no matcher.
    """
    matcher = losses.assigner if isinstance(losses, Criterion) else None
    if not settings.assign:
        if isinstance(losses, Criterion) and isinstance(matcher, GroupedMatching):
            return replace(losses, assigner=replace(matcher, mean=mean))
        return losses
    options = read_assign(settings.assign)
    if isinstance(matcher, GroupedMatching):
        matcher = matcher.matcher
    if not isinstance(losses, Criterion) or not isinstance(matcher, Matcher):
        raise ValueError(
            f"assign: a {entry.name} model matches nothing: its pairs are given, or it labels whole images; "
            "leave assign out"
        )
    weights = None if options.reweight is None else options.reweight.factors(_training_counts(data))
    assigner = GroupedMatching(
        matcher,
        blueprint.predicate_groups,
        options.multi,
        joint=options.joint,
        published=settings.published,
        max_load=options.max_load,
        predicate_weights=weights,
        mean=mean,
    )
    return replace(losses, assigner=assigner)


def _with_copies(
    model: nn.Module, blueprint: Blueprint, tokenizer: PreTrainedTokenizerBase | None, copies: int
) -> tuple[nn.Module, Blueprint]:
    own = getattr(blueprint.sizes, "predicate_copies", None)
    if own is None and copies > 1:
        raise ValueError(
            f"assign.predicate_copies: a {family(blueprint.kind).name} model has no predicate queries beside "
            "its pair queries; leave it out, and raise batch.max_pairs for more queries"
        )
    if own is None or own == copies:
        return model, blueprint
    wider = replace(blueprint, sizes=replace(blueprint.sizes, predicate_copies=copies))
    built = wider.build(tokenizer)
    take_over(built, repeat_predicate_queries(model.state_dict(), own, copies))
    return built, wider


def _fit_groups(
    options: AssignOptions, settings: Settings, data: RelationData, blueprint: Blueprint
) -> PredicateGroups:
    stored, pairs = blueprint.predicate_groups, getattr(blueprint.sizes, "pairs", None)
    if pairs is None:
        raise ValueError(f"assign.groups: a {family(blueprint.kind).name} model has no pair queries to group")
    if options.counts == "model":
        if stored is None or (len(stored.sizes), sum(stored.queries)) != (options.groups, pairs):
            raise ValueError(
                f"assign.counts: the model to start from has no {options.groups} groups of {pairs} pair "
                "queries; leave counts out to make them from the training data"
            )
        return stored
    counts = _training_counts(data)
    if options.counts not in (None, "training"):
        counts = _read_counts(options.counts)
    assert options.groups is not None
    floor = 1
    if not settings.published:  # a group needs room for the repeats of two targets
        wanted = 2 * options.multi.k if options.multi else 0
        floor = max(1, min(max(4, wanted), pairs // options.groups))
    fitted = PredicateGroups.fit(counts, options.groups, pairs, min_queries=floor)
    if options.counts is None and stored is not None and stored != fitted:
        raise ValueError(
            "assign.counts: the queries of the model to start from are grouped by other predicate counts "
            f"({stored.sha256[:12]}; the training data: {fitted.sha256[:12]}); say `model` to keep its "
            "groups, `training` to make new ones"
        )
    return fitted


def _training_counts(data: RelationData) -> dict[str, int]:
    return dict(zip(data.predicates, data.predicate_counts().tolist(), strict=True))


def _read_counts(path: str) -> dict[str, int]:
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"assign.counts: {path} is no JSON file of predicate counts: {error}") from error
    counts = content.get("predicate_count", content) if isinstance(content, dict) else None
    if not isinstance(counts, dict) or not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts.values()
    ):
        raise ValueError(f"assign.counts: {path} holds no mapping of predicates to whole numbers")
    return counts
