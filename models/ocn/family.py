"""OCN in the zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.heads import LinearClassifier
from relforge.models.blocks.pair_detr import PairDetr, build_pair_detr
from relforge.models.blocks.text import TextEncoder
from relforge.models.blueprint import Blueprint
from relforge.models.family import Family, Published
from relforge.models.ocn.calibration import SemanticCalibration
from relforge.models.ocn.priors import co_occurrence, object_prior, word_table
from relforge.models.ocn.published import blueprint_of, rename
from relforge.models.ocn.sizes import Sizes
from relforge.models.training.assign import Hungarian
from relforge.models.training.criterion import Criterion
from relforge.models.training.label_counts import LabelCounts
from relforge.models.training.terms import BOX_TERMS, AllLabels, AllRelations, Term


def build(
    sizes: Sizes,
    *,
    backbone: Backbone | None,
    text_encoder: TextEncoder | None,
    classes: Sequence[str],
    relations: Sequence[str],
    interactions: Sequence[tuple[str, str]] = (),
) -> PairDetr:
    """A model with random weights and no knowledge of labels yet (43.6 M parameters on ResNet-50 with the
    labels of HICO-DET)."""
    if backbone is None:
        raise ValueError("ocn needs a backbone")
    model = build_pair_detr(
        sizes,
        backbone,
        LinearClassifier(sizes.dim, len(classes) + 1, len(relations), 1),
        layout="shared",
        relations=SemanticCalibration(sizes.dim, len(classes), len(relations), sizes.word_width),
    )
    nn.init.xavier_uniform_(model.tokens.projection.weight)
    for head in (model.subject_box, model.object_box):
        nn.init.zeros_(head.layers[-1].weight)
        nn.init.zeros_(head.layers[-1].bias)
    return model


def prepare(model: nn.Module, blueprint: Blueprint, counts: LabelCounts, words: str | None) -> None:
    """Fill in what the model knows of its labels, in place.

    Args:
        counts: of the training set.
        words: path of word vectors, see `word_table`.

    Raises:
        ValueError: there are no word vectors, or they are of another width.
    """
    if words is None:
        raise ValueError(
            "ocn needs vectors of the words of its relations: give model.words, the path of a text file "
            "with a word and its numbers on each line (GloVe)"
        )
    table = word_table(blueprint.relations, words)
    if table.shape[1] != blueprint.sizes.word_width:
        raise ValueError(
            f"model.words: vectors of {table.shape[1]}; give sizes: {{word_width: {table.shape[1]}}}"
        )
    stage = model.get_submodule("relations")
    assert isinstance(stage, SemanticCalibration)
    stage.words.copy_(table)
    stage.object_prior.copy_(object_prior(counts.objects, joint=blueprint.sizes.prior == "joint"))
    stage.co_occurrence.copy_(co_occurrence(counts.together))


def losses(
    *, published: bool = False, relations: str = "focal", weights: Mapping[str, float] | None = None
) -> Criterion:
    """QPIC's losses, and once for all layers how the similarity of relations follows their co-occurrence.

    Args:
        published: no difference here.
        relations: a key of `RELATION_LOSSES`.
        weights: name of a term -> weight.
    """
    terms: dict[str, Term] = {**BOX_TERMS, "labels": AllLabels(), "relations": AllRelations(relations)}
    return Criterion(Hungarian(), terms, weights or {}, model_terms=("semantic",))


FAMILY = Family(
    name="ocn",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=losses,
    prepare=prepare,
    published=Published(blueprint_of, rename),
)
