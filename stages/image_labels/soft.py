"""Verbs by likeness: a predicate that no wording covers is compared with the classes of its object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relforge.stages.interactions import Interactions

if TYPE_CHECKING:
    from torch import Tensor


class SoftVerbs:
    """Args:
    encoder, pooling: as `models.language_head.write_rows` takes them.
    threshold: cosine from which the likest verb counts.
    """

    def __init__(self, encoder: str, pooling: str, threshold: float) -> None:
        self._encoder, self._pooling, self._threshold = encoder, pooling, threshold
        self._rows: dict[str, tuple[list[str], Tensor]] = {}
        self._known: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def files(self) -> Sequence[str]:
        from relforge.models.files import resolve_model

        return resolve_model(self._encoder).files

    def load(self, table: Interactions) -> None:
        """Encode the sentences of a table, once."""
        from relforge.models.language_head import NO_VERB, write_rows, write_sentences

        pairs = [pair for pair in table if pair[0] != NO_VERB]
        rows = write_rows(self._encoder, write_sentences(pairs), self._pooling)
        places: dict[str, list[int]] = defaultdict(list)
        for place, (_, object_) in enumerate(pairs):
            places[object_].append(place)
        self._rows = {name: ([pairs[i][0] for i in own], rows[own]) for name, own in places.items()}

    def find(self, predicate: str, objects: Sequence[str]) -> list[tuple[str, str]]:
        """The interactions of these objects that a predicate is likest to, where it is like enough."""
        from relforge.models.language_head import write_rows

        found = []
        for object_ in objects:
            if object_ not in self._rows:
                continue
            key = (predicate, object_)
            if key not in self._known:
                verbs, rows = self._rows[object_]
                sentence = write_rows(self._encoder, [[f"a person {predicate} the {object_}"]], self._pooling)
                cosines = (rows @ sentence[0]).tolist()
                best = max(range(len(verbs)), key=cosines.__getitem__)
                like = cosines[best] >= self._threshold
                self._known[key] = [(verbs[best], object_)] if like else []
            found += self._known[key]
        return found
