"""Scene-graph detection on Visual Genome as its papers report it: R, ng-R, zR, mR and A at 20, 50 and 100.

Gold: VG150's files, the gold of a run folder, or any data set that ingest reads. Predictions: a run folder
(its labels), a folder with `boxes.parquet` and `relations.parquet`, a table of detections, or a model, also
its authors' `.pth`.

Protocol `speaq`: SpeaQ's and Iterative SGG's evaluator. Protocol `sgb`: Scene-Graph-Benchmark's, which adds a
pixel to the sides of boxes and takes the likeliest predicate of every pair, whatever it is labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.sources import read_table
from relforge.evaluation.detection_table import is_model, read_detections
from relforge.evaluation.evaluator import Result, Row
from relforge.evaluation.overlap import pixels, plain
from relforge.evaluation.prior import FOLDS, fold
from relforge.evaluation.scene_graph_folder import is_graph_folder, read_graph_folder
from relforge.evaluation.scene_graph_gold import SceneGraphGold, of_run, of_source, of_vg150
from relforge.evaluation.scene_graph_prior import FrequencyPrior, count_triplets
from relforge.evaluation.scene_graph_quality import Rules, group_predicates, measure_graphs
from relforge.evaluation.scene_graph_tables import of_pairs, of_tables
from relforge.evaluation.scene_graphs import Predicted, given
from relforge.evaluation.zero_shot import find_listed, find_unseen, read_zero_shot
from relforge.stages.closed_labels import load_labels

PROTOCOLS = {"speaq": plain, "sgb": pixels}
MODES = ("sgdet", "sgcls", "predcls")
RUN_TABLES = ("relations", "scores")


@dataclass(frozen=True)
class VgSggEvaluator:
    """The benchmark `vg_sgg`.

    Args:
        annotations: `VG-SGG-with-attri.h5`, or the file of another `format`; empty: the gold of the run
            folder that is measured.
        dictionary, image_data: the other two files of VG150.
        format: dataset format of ingest of other annotations.
        split: of VG150: `test`, `val`, `train` or `all`.
        val_images: of VG150, see its dataset format.
        training: the training file of other annotations, in the same format; VG150 has its own. Zero-shot
            triplets, frequent and rare predicates and the frequency prior come from it.
        zero_shot: file of zero-shot triplets, see `zero_shot`; empty: those that training does not show.
        mode: `sgdet`, `sgcls` (boxes are given) or `predcls` (boxes and classes are given); empty: `predcls`
            for run folders, else `sgdet`.
        protocol: `speaq` or `sgb`.
        count_missing: count an image without predictions as 0; false, as published: leave it out.
        groups: [head, body] counts that part head, body and tail ([10000, 500] in papers that follow BGNN);
            []: a third of the predicates each.
        labels: closed label list to which names of gold and predictions are mapped (docs/formats.md).
        relations: table of a run folder: `relations`, or `scores`, below the run's threshold too.
        score: score formula of a table of detections, as for `hico`.
        images: folder of the images, a pattern, or a list of them; read only where a model detects.
        short_side, long_side: size of images that a model detects in, pixels.
        max_overlap: of two boxes of a class that a model detects, the worse is dropped where their IoU is
            above this; null: none is.
        predicates: of each pair query of a model, the likeliest so many become relations.
        device: where a model runs.
        kind: `package.module:NAME` of the family of a model that is of none of the zoo's.
    """

    annotations: str = ""
    dictionary: str = ""
    image_data: str = ""
    format: str = "visual_genome"
    split: str = "test"
    val_images: int = 5000
    training: str = ""
    zero_shot: str = ""
    mode: str = ""
    protocol: str = "speaq"
    count_missing: bool = True
    groups: Sequence[int] = ()
    labels: str = ""
    relations: str = "relations"
    score: str = "stored"
    images: str | Sequence[str] = ""
    short_side: int = 800
    long_side: int = 1333
    max_overlap: float | None = 0.5
    predicates: int = 1
    device: str = "cpu"
    kind: str | None = None

    def __post_init__(self) -> None:
        choices: dict[str, tuple[str, Sequence[str]]] = {
            "protocol": (self.protocol, list(PROTOCOLS)),
            "mode": (self.mode, ["", *MODES]),
            "split": (self.split, ["all", "train", "val", "test"]),
            "relations": (self.relations, RUN_TABLES),
        }
        for name, (value, known) in choices.items():
            if value not in known:
                raise ValueError(f"{name}: {value!r}; choose one of {', '.join(filter(None, known))}")
        if len(self.groups) not in (0, 2) or (self.groups and self.groups[0] < self.groups[1]):
            raise ValueError("groups: give [head, body], e.g. groups=[10000,500], or [] for thirds")
        if self._is_vg150 and not (self.dictionary and self.image_data):
            raise ValueError(
                f"{self.annotations} has numbers for names and images: give dictionary="
                "VG-SGG-dicts-with-attri.json and image_data=image_data.json"
            )

    @property
    def _is_vg150(self) -> bool:
        return self.annotations.endswith((".h5", ".hdf5"))

    def read_gold(self, target: str) -> SceneGraphGold:
        labels = load_labels(self.labels) if self.labels else None
        if not self.annotations:
            if not _is_run(target):
                raise ValueError(f"{target} is no run folder with gold of its own: give annotations=FILE")
            return of_run(target, labels)
        if self._is_vg150:
            gold = of_vg150(
                self.annotations,
                self.dictionary,
                self.image_data,
                split=self.split,
                val_images=self.val_images,
                last_pixel=self.protocol == "sgb",
                labels=labels,
            )
        else:
            training = self._source(self.training) if self.training else None
            gold = of_source(self._source(self.annotations), training, labels)
        if not len(gold.graphs.pairs):
            raise ValueError(f"{self.annotations}: no relation")
        if gold.source is not None and self.images:
            gold = replace(gold, source={**gold.source, "images": self.images})
        return gold

    def _source(self, annotations: str) -> dict[str, Any]:
        return {"format": self.format, "annotations": annotations, "images": self.images or "."}

    def read_detections(self, target: str, gold: SceneGraphGold) -> Predicted:
        mode = self._mode(target)
        if is_model(target):
            return self._detect(target, gold)
        if _is_run(target):
            if mode != "predcls":
                raise ValueError(f"{target} labels given boxes of given classes: its mode is predcls")
            boxes, relations = read_table(target, "boxes"), read_table(target, self.relations)
            return Predicted(of_tables(boxes, relations, gold.names), mode)
        if is_graph_folder(target):
            found = read_graph_folder(target, gold.names)
            if mode != "sgdet":
                found = given(found, gold.graphs, labels=mode == "predcls")
            return Predicted(found, mode)
        if mode != "sgdet":
            raise ValueError(
                f"{target} is a table of detections, which have boxes of their own; where boxes are given "
                "(sgcls, predcls), give a folder with boxes.parquet and relations.parquet (docs/formats.md)"
            )
        return Predicted(of_pairs(read_detections(target, self.score), gold.names), mode)

    def _mode(self, target: str) -> str:
        return self.mode or ("predcls" if _is_run(target) else "sgdet")

    def _detect(self, target: str, gold: SceneGraphGold) -> Predicted:
        from relforge.evaluation.detect import DetectOptions
        from relforge.evaluation.scene_graph_detect import detect_graphs
        from relforge.models.published import load_pretrained
        from relforge.models.scene_graph import GraphOptions

        if self._mode(target) != "sgdet":
            raise ValueError(f"{target} is a model, which finds its boxes itself: its mode is sgdet")
        if not self.images or gold.source is None:
            raise ValueError(f"{target} is a model: say with images=FOLDER what it detects in")
        loaded = load_pretrained(target, trusted=self.kind)
        if self.kind not in (None, loaded.blueprint.kind):
            raise ValueError(f"kind: {target} is a {loaded.blueprint.kind} model, not {self.kind!r}")
        options = DetectOptions(self.short_side, self.long_side, device=self.device)
        graphs = GraphOptions(self.max_overlap, by_class=True, predicates=self.predicates)
        return Predicted(detect_graphs(loaded, gold.data(), gold.names, options, graphs), "sgdet")

    def measure(self, detections: Predicted, gold: SceneGraphGold) -> Result:
        found, right, names = detections.graphs, gold.graphs, gold.names
        if not len(found.pairs):
            raise ValueError(
                f"no prediction is of an image of the gold, whose ids are like {names.images[0]!r}"
            )
        rules = Rules(
            PROTOCOLS[self.protocol],
            self.protocol == "speaq",
            self.count_missing,
            detections.mode != "sgdet" and np.array_equal(found.box_start, right.box_start),
        )
        predicates = len(names.predicates)
        training = None if gold.training is None else gold.training.predicates(predicates)
        frequent = np.bincount(right.predicates, minlength=predicates) if training is None else training
        groups = group_predicates(frequent, self.groups)
        unseen = None
        if self.zero_shot:
            unseen = find_listed(right.triplets(), read_zero_shot(self.zero_shot))
        elif gold.training is not None:
            unseen = find_unseen(right.triplets(), gold.training)
        quality = measure_graphs(
            found,
            right,
            self._prior(gold),
            rules,
            predicates=names.predicates,
            groups=groups,
            training=training,
            unseen=unseen,
        )
        with_gold = np.diff(right.relation_start) > 0
        with_found = np.diff(found.relation_start) > 0
        counts = {
            "images": int(with_gold.sum()),
            "images without predictions": int((with_gold & ~with_found).sum()),
            "images without gold relations": int((~with_gold).sum()),
            "gold": len(right.pairs),
            "predictions": len(found.pairs),
        }
        if unseen is not None:
            counts["zero-shot gold"] = int(unseen.sum())
        counts |= names.left_out
        options: Row = {
            "mode": detections.mode,
            "count_missing": self.count_missing,
            "groups": ", ".join(map(str, self.groups)) or "a third of the predicates each",
            "prior": "training set" if gold.training is not None else "other half of the gold",
        }
        options |= {"labels": self.labels} if self.labels else {}
        return Result("vg_sgg", self.protocol, quality.measures, counts, quality.classes, options)

    def _prior(self, gold: SceneGraphGold) -> FrequencyPrior:
        images = gold.names.images
        predicates = len(gold.names.predicates)
        if gold.training is not None:
            return FrequencyPrior((gold.training,), np.zeros(len(images), np.int64), predicates)
        half = np.array([fold(image) for image in images], np.int64)
        others = tuple(count_triplets(gold.graphs, half != number) for number in range(FOLDS))
        return FrequencyPrior(others, half, predicates)


def _is_run(target: str) -> bool:
    """Whether a path or URI is a run folder: its tables are folders."""
    return "://" in target or (Path(target) / "boxes").is_dir()
