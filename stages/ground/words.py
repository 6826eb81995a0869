"""Short vectors of predicates and classes, so that a prior may tell a rider's boxes from a holder's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from relforge.stages.class_names import class_key
from relforge.stages.image_labels.verbs import own_lemmas

PERSON = "person"


@dataclass(frozen=True)
class WordVectors:
    """Rows of what was seen in training; anything else has zeros.

    Args:
        predicates, classes: keys (`predicate_keys`, `class_key`).
        predicate_rows: len(predicates) x P.
        class_rows: len(classes) x C.
    """

    predicates: Sequence[str]
    classes: Sequence[str]
    predicate_rows: np.ndarray
    class_rows: np.ndarray

    @property
    def width(self) -> int:
        """Columns of `look_up`."""
        return self.predicate_rows.shape[1] + self.class_rows.shape[1] + 2

    def look_up(
        self, predicates: Sequence[str], subject_class: np.ndarray, object_class: np.ndarray
    ) -> np.ndarray:
        """The predicate's row, the object's class's, and whether either end is a person.

        Returns:
            float64, N x `width`.
        """
        rows = [
            _rows(predicates, self.predicates, self.predicate_rows, predicate_keys),
            self._class_rows(object_class),
            *(_is_person(names) for names in (subject_class, object_class)),
        ]
        return np.concatenate(rows, axis=1)

    def look_up_classes(self, subject_class: np.ndarray, object_class: np.ndarray) -> np.ndarray:
        """The rows of both classes, and whether either end is a person.

        Returns:
            float64, N x (2 C + 2).
        """
        ends = subject_class, object_class
        rows = [*(self._class_rows(names) for names in ends), *(_is_person(names) for names in ends)]
        return np.concatenate(rows, axis=1)

    def _class_rows(self, names: np.ndarray) -> np.ndarray:
        return _rows(names, self.classes, self.class_rows, _class_keys)


@lru_cache(maxsize=65536)
def predicate_keys(predicate: str) -> tuple[str, ...]:
    """Its lemmas, and its first word alone: "sitting on" is "sit on" and "sit"."""
    if not predicate.split():
        return ()
    whole = min(own_lemmas(predicate), key=len)  # "sit on" of "sitting on", "sit on", "sitte on"
    return tuple(dict.fromkeys((whole, whole.split()[0])))


def _is_person(names: np.ndarray) -> np.ndarray:
    """float64, N x 1."""
    distinct, place = np.unique(np.asarray(names, object), return_inverse=True)
    person = np.array([class_key(name) == PERSON for name in distinct.tolist()] or [False])
    column: np.ndarray = person[place.reshape(-1)][:, None].astype(float)
    return column


def _class_keys(name: str) -> tuple[str, ...]:
    return (class_key(name),)


def _rows(
    names: Sequence[str] | np.ndarray,
    known: Sequence[str],
    rows: np.ndarray,
    keys: Callable[[str], Sequence[str]],
) -> np.ndarray:
    """The row of each name by the first of its keys that is known; zeros where none is."""
    place = {name: at for at, name in enumerate(known)}
    distinct, inverse = np.unique(np.asarray(names, object), return_inverse=True)
    found = [next((place[key] for key in keys(name) if key in place), -1) for name in distinct.tolist()]
    table = np.concatenate([rows, np.zeros((1, rows.shape[1]))])  # the last row is that of unknown ones
    chosen: np.ndarray = table[np.array(found, np.int64)[inverse.reshape(-1)]]
    return chosen
