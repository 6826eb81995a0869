"""The names behind the numbers of a HICO-DET style list that has other names than HICO-DET.

One JSON file beside the lists: `{"objects": {number: name}, "verbs": {number: name}, "interactions": [[verb,
object], ...]}`, the last as numbers. Beside it are the two files that published code reads: `corre_hico.npy`,
verbs x objects in the order of their numbers, 1 where the two are an interaction, and `hoi_list_new.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Vocabulary:
    """Args:
    objects, verbs: number in the file -> name.
    interactions: the (verb, object) that the benchmark has, as names; empty where that is not known.
    """

    objects: Mapping[int, str]
    verbs: Mapping[int, str]
    interactions: tuple[tuple[str, str], ...] = ()

    @property
    def object_names(self) -> list[str]:
        """By code."""
        return list(self.objects.values())

    @property
    def verb_names(self) -> list[str]:
        """By code."""
        return list(self.verbs.values())

    @property
    def object_codes(self) -> dict[int, int]:
        """Number in the file -> code."""
        return {number: code for code, number in enumerate(self.objects)}

    @property
    def verb_codes(self) -> dict[int, int]:
        """Number in the file -> code."""
        return {number: code for code, number in enumerate(self.verbs)}

    def correct_verbs(self) -> np.ndarray:
        """Verbs x objects, in the order of the codes: whether the two are an interaction."""
        verbs, objects = self.verb_names, self.object_names
        mask = np.zeros((len(verbs), len(objects)), bool)
        for verb, name in self.interactions:
            mask[verbs.index(verb), objects.index(name)] = True
        return mask


def read_vocabulary(path: str) -> Vocabulary:
    """Read the JSON file.

    Raises:
        ValueError: it is of another form, or an interaction has a number without a name.
        OSError: it cannot be read.
    """
    try:
        document = json.loads(Path(path).read_bytes())
        objects, verbs = (
            {
                int(number): str(name)
                for number, name in sorted(document[key].items(), key=lambda one: int(one[0]))
            }
            for key in ("objects", "verbs")
        )
        rows = tuple((verbs[verb], objects[number]) for verb, number in document.get("interactions", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(
            f"{path}: expected {{objects: {{number: name}}, verbs: {{number: name}}, interactions: "
            f"[[verb, object]]}}: {error!r}"
        ) from error
    return Vocabulary(objects, verbs, rows)


def write_vocabulary(names: Vocabulary, folder: Path) -> None:
    """Write `corre_hico.json`, `corre_hico.npy` and `hoi_list_new.json`."""
    of_object, of_verb = (
        {name: number for number, name in one.items()} for one in (names.objects, names.verbs)
    )
    pairs = [(of_verb[verb], of_object[name]) for verb, name in names.interactions]
    document = {"objects": names.objects, "verbs": names.verbs, "interactions": pairs}
    (folder / "corre_hico.json").write_text(json.dumps(document, indent=1))
    np.save(folder / "corre_hico.npy", names.correct_verbs().astype(np.float64))
    rows = [
        {"id": place, "object_cat": number, "verb_id": verb, "object_name": name[1], "verb_name": name[0]}
        for place, ((verb, number), name) in enumerate(zip(pairs, names.interactions, strict=True), 1)
    ]
    (folder / "hoi_list_new.json").write_text(json.dumps(rows, indent=1))
