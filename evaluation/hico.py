"""Human-object interaction detection by HICO-DET's measure, for people or for any subject.

Gold: HICO-DET's own files (`relforge.data.hico`), or any annotated dataset that brings relations along.
Detections: a Parquet table (`detection_table`), or the folder of a trained model, which then detects.

A detection is right when an annotated pair of its kind has both boxes at an IoU of at least a half. Per kind
the detections of all images are ranked by score; the average precision is interpolated at eleven recalls,
and the mean runs over the kinds (Chao et al., "Learning to Detect Human-Object Interactions", WACV 2018).
Published evaluators differ in every detail of this (`hico_protocol`, docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relforge.contracts import WrongKind
from relforge.data import hico as hico_data
from relforge.data.formats import READERS, coco_relations
from relforge.data.hoi import HoiData
from relforge.data.hoi_relations import detection_data
from relforge.data.relations import RelationData
from relforge.data.source_tables import count_rows, is_run
from relforge.data.sources import load_relations
from relforge.data.vocabulary import read_vocabulary
from relforge.data.zero_shot import read_unseen
from relforge.evaluation.annotated import PERSON, Annotated, of_hoi, of_relations
from relforge.evaluation.detection_errors import DetectionErrors, split_errors
from relforge.evaluation.detection_table import is_model, read_detections, write_detections
from relforge.evaluation.evaluator import Measure, Result, Row
from relforge.evaluation.hico_protocol import Protocol, protocol
from relforge.evaluation.hico_quality import Chosen, choose_pairs, measure_kinds
from relforge.evaluation.pair_nms import PairNms
from relforge.evaluation.pairs import Kind, Pairs
from relforge.stages.class_names import spell_as

if TYPE_CHECKING:
    from relforge.evaluation.detect import DetectOptions
    from relforge.models.checkpoint import Loaded

ANY = "any"
SETTINGS = ("default", "known_object")
_RARE = 10
"""A kind with fewer training rows is rare."""


@dataclass(frozen=True)
class HicoGold:
    """Annotated images.

    Args:
        annotated: what detections are compared with.
        data: the same for models that detect, where ingest reads it.
        files: the same, where it is a HICO-DET file.
        training: rows of every kind in the training file; None without one.
    """

    annotated: Annotated
    data: RelationData | None = None
    files: HoiData | None = None
    training: dict[Kind, int] | None = None

    @property
    def pairs(self) -> Pairs:
        """Every annotated relation."""
        return self.annotated.pairs


@dataclass(frozen=True)
class HicoEvaluator:
    """The benchmark `hico`.

    Args:
        annotations: the gold's file, or a run folder.
        training: the training file, for rare and non-rare kinds and for the frequency prior.
        protocol: `official`, `rlipv2`, `pocket`, `upt`, `ggnet`, or `plain`, which adds no pixel to boxes.
        setting: `default`, or `known_object`: a kind is measured on the images that show its object.
        split: zero-shot split whose unseen kinds are reported apart: UC-RF, UC-NF, UO or UV.
        unseen: predicates, or [predicate, object class], that training did not show; their mean is reported
            apart.
        top: pairs of an image that are measured; 0: all. None: as the protocol has it.
        nms: [alpha, beta, threshold] of pair suppression; []: none. None: as the protocol has it.
        mask: score 0 for interactions that are not among the 600, or those of `vocabulary`.
        vocabulary: JSON of the names behind the numbers of a HICO-DET style list that has others than
            HICO-DET (`relforge.data.vocabulary`); its interactions are the kinds that are measured.
        score: `stored`, `relation`, `relation*object` or `subject*relation*object` (docs/formats.md).
        images: folder of its images, or a pattern with `{image_id}`; read only where a model detects.
        format: of the annotations: `hico`, `vcoco`, `open_images`, `coco_relations`, a dataset format of
            ingest, or `package.module:read`; None: by the content.
        relations: of a run folder: `gold`, or `relations`, as people corrected them; empty: gold where the
            run has any.
        subject: class of the subject that counts; `any` for all.
        people_only: leave out queries of a model whose subject is of another class. Models that were
            fine-tuned without subject classes, published ones among them, need false.
        boxes: a detector's boxes (`detected_boxes`), whose pairs a model of whole images scores (DEFR).
        box_mask: of such a model, `intended` or `released`: how the rest of an image is hidden.
        mask_layers: in how many of its last blocks.
        powers: of the person's score, the object's score and the interaction's probability.
        short_side, long_side: size of images that a model detects in, pixels.
        device: where a model runs.
        kind: `package.module:NAME` of the family of a model that is of none of the zoo's.
    """

    annotations: str
    training: str = ""
    protocol: str = "official"
    setting: str = "default"
    split: str = ""
    unseen: Sequence[str | Sequence[str]] = ()
    top: int | None = None
    nms: Sequence[float] | None = None
    mask: bool = False
    vocabulary: str = ""
    score: str = "stored"
    images: str = ""
    format: str | None = None
    relations: str = ""
    subject: str = PERSON
    people_only: bool = True
    boxes: str = ""
    box_mask: str = "intended"
    mask_layers: int = 1
    powers: Sequence[float] = (6.0, 3.0, 1.0)
    short_side: int = 800
    long_side: int = 1333
    device: str = "cpu"
    kind: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.unseen, str):
            raise ValueError(f"unseen: give a list, e.g. unseen=[{self.unseen}]")
        if self.setting not in SETTINGS:
            raise ValueError(f"setting: {self.setting!r}; choose one of {', '.join(SETTINGS)}")
        if self.top is not None and self.top < 0:
            raise ValueError(f"top: {self.top} measures nothing; give 1 or more, or 0 for all")
        if self.nms is not None and len(self.nms) not in (0, 3):
            raise ValueError("nms: give [alpha, beta, threshold], e.g. nms=[1,0.5,0.7], or [] for none")
        if self.split:
            hico_data.unseen(self.split)
        protocol(self.protocol)

    def read_gold(self, target: str) -> HicoGold:
        if self._is_hico(self.annotations):
            gold = self._read(self.annotations, "test")
        elif self._run:
            part = {"run": self.annotations, "relations": self._of_run()}
            data = load_relations([part], keep_empty=True, max_pairs=10**6)
            gold = HicoGold(of_relations(data), data)
        elif (read := self._reader()) is not None:
            files = read(self.annotations)
            gold = HicoGold(of_hoi(files, None, None), files=files)
        else:
            source = {"format": self.format or "visual_genome", "annotations": self.annotations}
            data = load_relations([source | {"images": self.images or "."}], keep_empty=True, max_pairs=10**6)
            gold = HicoGold(of_relations(data), data)
        pairs, predicates = read_unseen(self.unseen)
        named = predicates | {predicate for predicate, _ in pairs}
        listed = gold.files.verbs if gold.files is not None else ()
        if unknown := sorted(named - {*listed, *gold.pairs.predicate.tolist()}):
            raise ValueError(f"unseen: {self.annotations} has no predicate {unknown[0]!r}")
        if not self.training:
            return gold
        counts: dict[Kind, int] = {}
        for kind in self._read(self.training, "train").annotated.pairs.kinds():
            counts[kind] = counts.get(kind, 0) + 1
        return replace(gold, training=counts)

    def read_detections(self, target: str, gold: HicoGold) -> Pairs:
        if not is_model(target):
            return read_detections(target, self.score)
        from relforge.evaluation.detect import detect, load_detector
        from relforge.models.zoo import family

        if not self.images and not self._run:
            raise ValueError(f"{target} is a model: say with images=FOLDER what it detects in")
        loaded = load_detector(target, self.kind)
        data, predicates = gold.data, sorted(set(gold.pairs.predicate.tolist()))
        if gold.files is not None:
            data, predicates = detection_data(gold.files, self.images), list(gold.files.verbs)
        if data is None or not len(data):
            raise ValueError(f"{self.annotations}: no image to detect in; is images={self.images} right?")
        if family(loaded.blueprint.kind).targets == "images":
            return self._score_pairs(loaded, data, gold)
        return detect(loaded, data, predicates, self._subject, self._detect_options(gold))

    def _score_pairs(self, loaded: Loaded, data: RelationData, gold: HicoGold) -> Pairs:
        """Pairs of the boxes of a detector, scored by a model of whole images."""
        from relforge.evaluation.detect_pairs import PairOptions, detect_pairs
        from relforge.evaluation.detected_boxes import read_detected
        from relforge.evaluation.hico_image import class_order

        if not self.boxes:
            raise ValueError(
                f"a {loaded.blueprint.kind} model finds no boxes: say with boxes=FILE which a detector found"
            )
        if len(self.powers) != 3:
            raise ValueError("powers: give three, of person, object and interaction, e.g. powers=[6,3,1]")
        own = tuple(loaded.blueprint.interactions)
        listed = hico_data.interactions()
        if own and own[0][0] == "interaction 0":  # a released file: HICO's, in its order
            class_order(own, listed, "the model")
            own = tuple(listed)
        human, object_, interaction = self.powers
        options = PairOptions(
            self.box_mask, self.mask_layers, (human, object_, interaction), device=self.device
        )
        person = self.subject if self.subject != ANY else PERSON
        return detect_pairs(loaded, read_detected(self.boxes), data, own, person, options)

    def _detect_options(self, gold: HicoGold) -> DetectOptions:
        from relforge.evaluation.detect import DetectOptions

        options = DetectOptions(
            self.short_side, self.long_side, device=self.device, every_query=not self.people_only
        )
        if self.nms == []:
            options = replace(options, max_overlap=None)
        if gold.files is None:
            return options
        listed = gold.annotated.kinds if self.mask else None
        return replace(
            options,
            classes=list(gold.files.objects),
            interactions=None if listed is None else [kind[1:] for kind in listed],
        )

    def write_detections(self, detections: Pairs, gold: HicoGold, path: Path) -> None:
        write_detections(detections, path)

    def measure(self, detections: Pairs, gold: HicoGold) -> Result:
        annotated = gold.annotated
        detections = annotated.spell(detections)
        quality = measure_kinds(
            detections,
            annotated,
            self.rules,
            subject=self._spelt_subject(annotated),
            known_object=self.setting == "known_object",
            mask=self.mask,
            training=gold.training,
        )
        if not any(quality.gold.values()):
            raise ValueError(
                f"{self.annotations}: no relation has the subject {self.subject!r}; choose another subject"
            )
        if quality.unknown_images == len(detections) > 0:
            raise ValueError(
                f"no detection is of an image of {self.annotations}: image_id is "
                f"{detections.image[0]!r} there and {annotated.images[0]!r} here"
            )
        measures = {"mean_average_precision": quality.measure(lambda kind: True)}
        for name, (inside, outside) in self._groups(gold).items():
            measures[f"mean_average_precision_{name[0]}"] = quality.measure(inside)
            measures[f"mean_average_precision_{name[1]}"] = quality.measure(outside)
        measures["mean_max_recall"] = Measure(quality.recall)
        classes: list[Row] = [
            {
                "subject": kind[0],
                "predicate": kind[1],
                "object": kind[2],
                "gold": quality.gold[kind],
                "average_precision": value,
                "prior_average_precision": quality.prior[kind],
                "unseen": self._unseen(kind),
            }
            for kind, value in quality.average_precision.items()
        ]
        counts = {
            "images": len(annotated.images),
            "gold": sum(quality.gold.values()),
            "detections": quality.detections,
        }
        if quality.unknown_images:
            counts["detections of unknown images"] = quality.unknown_images
        counts |= {f"left out: {reason}": count for reason, count in annotated.reasons.items()}
        options = self._recorded(gold)
        if not len(detections) and self.people_only:
            options["no detection"] = (
                f"none of a subject {self.subject!r}; a model that was fine-tuned without subject classes "
                "needs people_only=false"
            )
        return Result("hico", self.protocol, measures, counts, classes, options)

    def errors(self, detections: Pairs, gold: HicoGold) -> DetectionErrors:
        """Why the best detections are wrong, under the same options as `measure`."""
        return split_errors(self.choose(detections, gold), self.rules.rule)

    def choose(self, detections: Pairs, gold: HicoGold) -> Chosen:
        """What `measure` compares: detections and gold after mask, cut and suppression."""
        annotated = gold.annotated
        return choose_pairs(
            annotated.spell(detections),
            annotated,
            self.rules,
            subject=self._spelt_subject(annotated),
            known_object=self.setting == "known_object",
            mask=self.mask,
        )

    def _spelt_subject(self, annotated: Annotated) -> str | None:
        subject = self._subject
        return subject and spell_as([subject], dict.fromkeys(annotated.pairs.subject.tolist()))[subject]

    def _is_hico(self, path: str) -> bool:
        if self.format is not None:
            return self.format == "hico"
        if path.endswith(".mat"):
            return True
        if not Path(path).is_file():
            return False  # a pattern or URI; ingest reports what is wrong with it
        with open(path, "rb") as file:
            start = file.read(1 << 18)
        return any(key in start for key in (b'"hoi_annotation"', b'"boxes_h"', b'"filenames"'))

    @property
    def _run(self) -> bool:
        """Whether the annotations are a run folder, which knows where its images are."""
        return self.format is None and is_run(self.annotations)

    def _of_run(self) -> str:
        if self.relations:
            return self.relations
        return "gold" if count_rows(self.annotations, "gold") else "relations"

    def _reader(self) -> Callable[[str], HoiData] | None:
        """The reader of a file of images with boxes and interactions; None: ingest reads it."""
        name = self.format
        if name is None and coco_relations.is_export(self.annotations):
            name = "coco_relations"
        if name is None or (name not in READERS and ":" not in name):
            return None
        try:
            reader: Callable[[str], HoiData] = READERS.load(name)
        except WrongKind:  # a source of one's own
            return None
        return reader

    def _read(self, path: str, split: str) -> HicoGold:
        data = hico_data.read_hico(path, split, self.vocabulary)
        names = None
        if self.vocabulary:
            names = read_vocabulary(self.vocabulary).interactions
        elif list(data.objects) == hico_data.objects():
            names = tuple(hico_data.interactions())
        if not names or self.subject != PERSON:
            return HicoGold(of_hoi(data, None, None), files=data)
        return HicoGold(of_hoi(data, [(PERSON, *pair) for pair in names], PERSON), files=data)

    def _groups(self, gold: HicoGold) -> dict[tuple[str, str], tuple[Callable[[Kind], bool], ...]]:
        found: dict[tuple[str, str], tuple[Callable[[Kind], bool], ...]] = {}
        training = gold.training
        if training is not None:
            found["rare", "non_rare"] = (
                lambda kind: training.get(kind, 0) < _RARE,
                lambda kind: training.get(kind, 0) >= _RARE,
            )
        if self.unseen or self.split:
            found["seen", "unseen"] = (lambda kind: not self._unseen(kind), self._unseen)
        return found

    def _unseen(self, kind: Kind) -> bool:
        pairs, predicates = read_unseen(self.unseen)
        if kind[1] in predicates or kind[1:] in pairs:
            return True
        return bool(self.split) and kind[0] == PERSON and kind[1:] in set(hico_data.unseen(self.split))

    @property
    def _subject(self) -> str | None:
        return None if self.subject == ANY else self.subject

    @property
    def rules(self) -> Protocol:
        """The protocol with the options that change it."""
        rules = protocol(self.protocol)
        if self.top is not None:
            rules = replace(rules, top=self.top or None)
        if self.nms is not None:
            rules = replace(rules, nms=PairNms(*self.nms) if self.nms else None)
        return rules

    def _recorded(self, gold: HicoGold) -> Row:
        rules = self.rules
        nms = rules.nms
        return {
            "setting": self.setting,
            "top": rules.top or "all",
            "nms": f"{nms.alpha:g}, {nms.beta:g}, {nms.threshold:g}" if nms else "none",
            "mask": self.mask,
            "score": self.score,
            "prior": "training file" if gold.training is not None else "other half of the gold",
            **({"split": self.split} if self.split else {}),
            **({} if self.people_only else {"people_only": False}),
        }
