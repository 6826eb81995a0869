"""Label lists of a batch: the pictures' own names merged, then extended by names they do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relforge.tagger.targets import Targets

NO_OBJECTS = "no objects"
"""The last object label: what an unassigned slot answers."""


@dataclass(frozen=True)
class LabelLists:
    """Names a picture's or a batch's targets point into; no duplicates.

    Args:
        objects: object names, `NO_OBJECTS` last where present.
        relations: relation names.
    """

    objects: tuple[str, ...]
    relations: tuple[str, ...]

    def texts(self) -> list[str]:
        """The sequence the text encoder sees: objects, then relations."""
        return [*self.objects, *self.relations]


def merge(lists: Sequence[LabelLists], targets: Sequence[Targets]) -> tuple[LabelLists, list[Targets]]:
    """One list for all pictures of a batch, names in order of first appearance, `NO_OBJECTS` last.

    Args:
        lists: per picture, without `NO_OBJECTS`.
        targets: per picture, pointing into its list.

    Returns:
        The merged list, and targets that point into it.
    """
    objects = tuple(dict.fromkeys(name for own in lists for name in own.objects))
    relations = tuple(dict.fromkeys(name for own in lists for name in own.relations))
    merged = []
    for own, target in zip(lists, targets, strict=True):
        index = torch.tensor([objects.index(name) for name in own.objects], dtype=torch.long)
        columns = torch.tensor([relations.index(name) for name in own.relations], dtype=torch.long)
        wide = torch.zeros(len(target), len(relations))
        if len(target):
            wide[:, columns] = target.relations
        merged.append(
            replace(
                target,
                subject_labels=index[target.subject_labels],
                object_labels=index[target.object_labels],
                relations=wide,
            )
        )
    return LabelLists((*objects, NO_OBJECTS), relations), merged


class NameSampler:
    """Names drawn by their frequency in a dataset.

    Args:
        names: the vocabulary.
        counts: how often each name occurs.
    """

    def __init__(self, names: Sequence[str], counts: Sequence[float]) -> None:
        self.names = list(names)
        self.counts = torch.tensor(counts, dtype=torch.float64)

    def extend(self, own: Sequence[str], size: int, generator: torch.Generator) -> tuple[str, ...]:
        """`own` and then other names of the vocabulary up to `size` in all (fewer where it is too small).

        A list that is longer already stays as it is.
        """
        missing = size - len(own)
        if missing <= 0:
            return tuple(own)
        held = set(own)
        others = torch.tensor([i for i, name in enumerate(self.names) if name not in held], dtype=torch.long)
        if not len(others):
            return tuple(own)
        weights: Tensor = self.counts[others]
        drawn = torch.multinomial(weights, min(missing, int((weights > 0).sum())), generator=generator)
        return (*own, *(self.names[i] for i in others[drawn].tolist()))


def extend_labels(
    lists: LabelLists,
    targets: Sequence[Targets],
    objects: NameSampler,
    relations: NameSampler,
    size: int,
    generator: torch.Generator,
) -> tuple[LabelLists, list[Targets]]:
    """Label Sequence Extension (RLIPv1): negative names up to `size` texts, two thirds of them objects.

    Args:
        lists: of the batch, as `merge` returns it.
        targets: of the batch; they point into `lists` and stay valid for the objects, while relations
            gain columns of zeros.
        objects, relations: the dataset's vocabularies.
        size: texts in all, `NO_OBJECTS` not counted (500 published: 333 objects, 167 relations).
        generator: source of the draws.
    """
    quota = int(size * 2 / 3)
    names = objects.extend([n for n in lists.objects if n != NO_OBJECTS], quota, generator)
    longer = relations.extend(lists.relations, size - quota, generator)
    extra = len(longer) - len(lists.relations)
    wider = [replace(t, relations=torch.nn.functional.pad(t.relations, (0, extra))) for t in targets]
    return LabelLists((*names, NO_OBJECTS), longer), wider
