"""What the zoo holds of one model: everything that shared code needs, so that it never names a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Prediction
from relforge.models.blocks.text import TextEncoder
from relforge.models.detections import Detections, detections_of
from relforge.models.training.label_counts import LabelCounts
from relforge.models.training.targets import Targets

if TYPE_CHECKING:
    from relforge.models.blueprint import Blueprint


class Build(Protocol):
    """Builds the model with random weights. Its `forward(images, labels, padding=None, given=None)` takes
    B x 3 x H x W normalised images, `Labels`, B x H x W padding (True = padded) and, where pairs are given, a
    `PairBatch`; it returns `Output`, or a form of its own that its losses take."""

    def __call__(
        self,
        sizes: Any,
        *,
        backbone: Backbone | None,
        text_encoder: TextEncoder | None,
        classes: Sequence[str],
        relations: Sequence[str],
        interactions: Sequence[tuple[str, str]] = (),
    ) -> nn.Module: ...


class Losses(Protocol):
    """The losses of a batch. `Criterion` is one; a model may have its own."""

    def __call__(self, output: Any, targets: Any, pairs: float) -> dict[str, Tensor]:
        """Named terms; `total` is minimised.

        Args:
            output: of the model: `Output`, or the model's own form where its targets are `images`.
            targets: one per image, `Targets`, `ImageTargets` or `BoxTargets`.
            pairs: mean number of target pairs, or boxes, per process, at least 1: what box terms are
                divided by.
        """


class PairSource(Protocol):
    """Makes the pairs that a model is given in training."""

    def training_pairs(
        self, model: nn.Module, targets: list[Targets], objects: int, generator: torch.Generator
    ) -> PairBatch:
        """One row per image; `objects` counts the object labels, "no objects" included."""

    def at(self, progress: float) -> PairSource:
        """What makes them when that share (0 to 1) of the training is done."""


@dataclass(frozen=True)
class Published:
    """How the files of a model's authors are read.

    Args:
        blueprint: what a file's weights (name -> tensor) were built from, or None where they are of another
            model; the second argument is the user's choice of gate, for files that do not state it.
        rename: (weights, blueprint) -> (our name -> (name in the file, tensor), what is wrong with the file).
        published_names: our weights under the authors' names, backbone excepted; of detectors alone, which
            other models start from.
    """

    blueprint: Callable[[Mapping[str, Tensor], str | None], Blueprint | None]
    rename: Callable[[Mapping[str, Tensor], Blueprint], tuple[dict[str, tuple[str, Tensor]], list[str]]]
    published_names: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None


@dataclass(frozen=True)
class Family:
    """One model of the zoo.

    Args:
        name: the model's name in configs and model cards.
        sizes: dataclass of the widths, depths and switches that `build` takes, with defaults. A field
            `pairs`, if there is one, is the number of pair queries; a recipe sets it to `batch.max_pairs`.
        build: makes the model.
        labels: `open` (any texts, read by a text encoder) or `closed` (the lists of the training data).
        targets: `pairs` (`Targets`), `images` (`ImageTargets`) where whole images are labelled, or `boxes`
            (`BoxTargets`) of a detector of boxes, whose `forward` returns `BoxOutput`.
        losses: makes the losses, by keyword; `published: bool` must be among the keywords; `counts`, if
            there is one, gets the `LabelCounts` of the training data; the others are what a recipe may set
            under `losses:`.
        detections: how a prediction becomes triplets, one entry per row; None where a model finds no pairs.
        noise: makes the `PairSource`, by keyword (`noise:` of a recipe); None where a model searches.
        prepare: fills in what a model knows of its labels before training, in place, from the training data's
            `LabelCounts` and the path `model.words` of a recipe; None where that is nothing.
        published: how files of the authors are read; None where there are none.
        adapt_sizes: sizes that a model of another kind was built from -> those of this one when it starts
            from that model's weights; by default the fields that both have are taken over.
        backbone_prefixes: parameters under these names are pre-trained and learn at their own rate.
        all_used: under the default losses every trainable parameter has a gradient in every batch, with pairs
            or without; several processes then need not look for those that have none.
    """

    name: str
    sizes: type[Any]
    build: Build
    labels: Literal["open", "closed"]
    losses: Callable[..., Losses]
    targets: Literal["pairs", "images", "boxes"] = "pairs"
    detections: Callable[[Prediction], list[Detections]] | None = detections_of
    noise: Callable[..., PairSource] | None = None
    prepare: Callable[[nn.Module, Blueprint, LabelCounts, str | None], None] | None = None
    published: Published | None = None
    adapt_sizes: Callable[[Any], Any] | None = None
    backbone_prefixes: tuple[str, ...] = ("backbone.", "text_encoder.")
    all_used: bool = False
