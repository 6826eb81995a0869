"""Precision and recall of captions of drawn images: their triplets, by class, against the complete gold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relforge.demo.world.captions import VERBS
from relforge.demo.world.catalogue import CLASSES, list_synonyms
from relforge.demo.world.interactions import SPATIAL
from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.vocabulary import Vocabulary
from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.stage import DEFAULT, build_parser

Triplet = tuple[str, str, str]
"""(subject class, predicate of the gold, object class)."""


@dataclass(frozen=True)
class CaptionScores:
    """Of one source of captions.

    Args:
        images, captions: how many.
        triplets: parsed from the captions, within the world: both ends name classes, the
            predicate is one of the gold's. The rest (shirts, beaches) is neither right nor wrong.
        precision: share of `triplets` that are in the gold of their image.
        recall: share of the gold's distinct triplets per image that at least one of its captions states.
        without_triplet: share of captions that state no triplet.
    """

    images: int
    captions: int
    triplets: int
    precision: float
    recall: float
    without_triplet: float


class CaptionScorer:
    """Parses captions, by the default parser, and compares them with gold."""

    def __init__(self) -> None:
        self._parser = build_parser(DEFAULT)
        self._parser.setup()
        self._matcher = PhraseMatcher(Vocabulary(classes=list_synonyms()), list(CLASSES))
        self._forms = list_predicate_forms()

    def score(self, captions: Sequence[Sequence[str]], gold: Sequence[set[Triplet]]) -> CaptionScores:
        """Score the captions of each image against its gold.

        Args:
            captions: of each image.
            gold: of the same images, see `read_gold`.
        """
        texts = [text for several in captions for text in several]
        readings = iter([list(self._triplets(graph)) for graph in self._parser.parse(texts)])
        parsed = right = recalled = without_triplet = 0
        for several, facts in zip(captions, gold, strict=True):
            reached: set[Triplet] = set()
            for _ in several:
                triplets = next(readings)
                without_triplet += not triplets
                parsed += len(triplets)
                right += sum(bool(ways & facts) for ways in triplets)
                reached |= facts & {way for ways in triplets for way in ways}
            recalled += len(reached)
        return CaptionScores(
            images=len(gold),
            captions=len(texts),
            triplets=parsed,
            precision=right / max(1, parsed),
            recall=recalled / max(1, sum(map(len, gold))),
            without_triplet=without_triplet / max(1, len(texts)),
        )

    def _triplets(self, graph: SceneGraph) -> Iterator[set[Triplet]]:
        """All readings of each relation within the world, as triplets of the gold."""
        for relation in graph.relations:
            ends = [graph.entities[i] for i in (relation.subject, relation.object)]
            subjects, objects = (
                [hit.category for hit in self._matcher.match(end.text, end.head, end.lemma)] for end in ends
            )
            predicates = self._forms.get(relation.predicate.lower(), ())
            ways = {(s, p, o) for s in subjects for p in predicates for o in objects}
            if ways:
                yield ways


def list_predicate_forms() -> dict[str, set[str]]:
    """Every wording of a caption's predicate -> what it can mean in the gold: "rides" is riding, and
    "sitting on" is sitting on, or the on of a cup."""
    forms: dict[str, set[str]] = {}
    for predicate, wordings in VERBS.items():
        for wording in filter(None, wordings):
            forms.setdefault(wording, set()).add(predicate)
    for predicate in (*SPATIAL, "on", "under", "in"):
        for verb in ("", "sitting ", "standing "):
            forms.setdefault(verb + predicate, set()).add(predicate)
    return forms


def read_gold(split: Path) -> dict[int, set[Triplet]]:
    """Distinct triplets of each image of a split, by image id."""
    gold: dict[int, set[Triplet]] = {}
    for graph in json.loads((split / "scene_graphs.json").read_text()):
        kind = {thing["object_id"]: thing["names"][0] for thing in graph["objects"]}
        gold[graph["image_id"]] = {
            (kind[r["subject_id"]], r["predicate"], kind[r["object_id"]]) for r in graph["relationships"]
        }
    return gold


def read_captions(split: Path) -> dict[int, list[str]]:
    """The world's own captions of a split, by image id."""
    captions: dict[int, list[str]] = {}
    for row in json.loads((split / "captions.json").read_text())["annotations"]:
        captions.setdefault(row["image_id"], []).append(row["caption"])
    return captions
