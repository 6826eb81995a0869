"""Relabelling by a detector of pairs (ParSeD, ParSeDA, ...): what it finds, on the dataset's own boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relforge.images.detection_resize import DetectionResize, normalise_imagenet
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import PUBLISHED_SUFFIXES, resolve_model
from relforge.stages.backend import Backend
from relforge.stages.class_names import class_key, spell_as
from relforge.stages.name_list import read_names
from relforge.stages.relabel.fit_boxes import PERSON, fit_boxes
from relforge.stages.relabel.kind import stored_kind
from relforge.stages.relabel.relabeller import Vocabulary, choose_predicates
from relforge.stages.relabel.stage import RelabelStage
from relforge.stages.tag.tagger import Candidate, ImageCandidates, LoadedTagger, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from relforge.models.blocks.prediction import Labels
    from relforge.models.checkpoint import Loaded
    from relforge.models.detections import Detections


class PairDetector:
    """Searches every image for pairs; a pair counts where both ends fit boxes of the dataset.

    An end fits the box of its own class that it overlaps most, from `min_overlap` on. Of several pairs on two
    boxes, each relation takes the one whose relation and classes are likeliest together.

    Args:
        model: model folder, hub name of one, or a published `.pth`.
        min_overlap: intersection over union of a box found and a box of the dataset at least.
        classes: object names that the model chooses from: names, or a file with one per line. By default
            those it was trained on; those of the image's own boxes are always among them. A model with closed
            labels has its own.
        short_side, long_side: image size in pixels, as in training.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        tokenizer: folder or hub name, for a `.pth`.

    Raises:
        ValueError: an option that cannot be.
    """

    version = 1
    neutral_options: tuple[str, ...] = ("device",)
    worth = None
    proposed = False

    def __init__(
        self,
        model: str,
        min_overlap: float = 0.5,
        classes: Sequence[str] | str | None = None,
        short_side: int = 800,
        long_side: int = 1333,
        device: str = "auto",
        tokenizer: str = "roberta-base",
    ) -> None:
        if not 0 < min_overlap <= 1:
            raise ValueError(f"min_overlap is {min_overlap}; it is an intersection over union, up to 1")
        check_device_dtype(device)
        self.model, self.classes, self.tokenizer = model, classes, tokenizer
        self.min_overlap, self.device = min_overlap, device
        self.resize = DetectionResize(short_side, long_side)
        self._loaded: Loaded | None = None
        self._labels: dict[tuple[str, ...], Labels] = {}

    def files(self) -> Sequence[str]:
        if stored_kind(self.model) == "rtagger":
            raise ValueError(f"{self.model} is an R-Tagger, which finds no pairs; use `backend: rtagger`")
        published = Path(self.model).suffix in PUBLISHED_SUFFIXES
        found = resolve_model(self.model, companions=[self.tokenizer] if published else [])
        return [*found.files, *([self.classes] if isinstance(self.classes, str) else [])]

    def load(self, floor: float, vocabulary: Vocabulary) -> tuple[LoadedTagger, Sequence[str]]:
        """See `Relabeller.load`.

        Raises:
            ValueError: the model finds no pairs, or its classes or relations are none of the dataset's.
        """
        from relforge.models.published import load_pretrained
        from relforge.models.zoo import family

        loaded = load_pretrained(str(resolve_model(self.model).path), tokenizer=self.tokenizer)
        blueprint = loaded.blueprint
        entry = family(blueprint.kind)
        if entry.targets != "pairs" or entry.detections is None or entry.noise is not None:
            raise ValueError(f"{self.model} is a {blueprint.kind} model, which does not search for pairs")
        self._device, _ = resolve_device_dtype(self.device)
        loaded.model.to(self._device).eval()
        self._loaded, self._detections, self._open = loaded, entry.detections, entry.labels == "open"
        asked = choose_predicates(self.model, blueprint.relations, not self._open, vocabulary)
        self._names = read_names(self.classes, "stages.relabel.classes") or tuple(blueprint.classes)
        if not self._open:
            self._names = tuple(blueprint.classes)
            known = {class_key(name) for name in self._names}
            if not any(class_key(name) in known for name in vocabulary.classes):
                raise ValueError(
                    f"{self.model} was trained on other classes ({', '.join(self._names[:3])}, ...) than the "
                    f"dataset has ({', '.join(vocabulary.classes[:3])}, ...)"
                )
        self._asked = asked
        return LoadedTagger(f"{blueprint.kind}:{loaded.sha256[:12]}", {"device": str(self._device)}), asked

    def prepare(self, pixels: NDArray[np.uint8]) -> Tensor:
        return self.resize(pixels)

    def fits(self, predicate: str) -> bool:
        """It is asked for what it learnt, or what the options name."""
        return True

    def tag(self, images: Iterable[ImageCandidates[Tensor]]) -> Iterator[Scores]:
        """One image a forward pass, so that no image depends on another."""
        import torch

        from relforge.models.gpu import exact_arithmetic

        for image in images:
            given = [box.category for box in image.boxes.values()]
            spelling = spell_as(dict.fromkeys(given), self._names)
            labels = self._labels_of(tuple(sorted(set(spelling.values()) - set(self._names))))
            with torch.inference_mode(), exact_arithmetic(torch.float32):
                pixels = normalise_imagenet(image.pixels[None].to(self._device))
                (found,) = self._detections(self._model().model(pixels, labels).layers[-1])
            yield self._on_boxes(image, found, labels, [spelling[name] for name in given])

    def _labels_of(self, others: tuple[str, ...]) -> Labels:
        """What an image is asked for: with classes that the model's list lacks, where labels are open."""
        import torch

        from relforge.models.blocks.prediction import Labels
        from relforge.models.blocks.text import NO_OBJECTS

        if not self._open:
            others = ()
        if others not in self._labels:
            own = self._model().blueprint.relations
            labels = Labels([*self._names, *others, NO_OBJECTS], self._asked if self._open else list(own))
            if self._open:
                model: Any = self._model().model
                with torch.inference_mode():
                    labels = model.encode_labels(labels)
            self._labels[others] = labels
        return self._labels[others]

    def _on_boxes(
        self, image: ImageCandidates[Tensor], found: Detections, labels: Labels, names: Sequence[str]
    ) -> Scores:
        ids = list(image.boxes)
        xywh = np.array([box.xywh for box in image.boxes.values()]) / np.tile((image.width, image.height), 2)
        classes = np.array(labels.objects, object)
        if found.subject_classes is None:
            subjects = np.full(len(found.object_classes), PERSON, object)
        else:
            subjects = classes[found.subject_classes.numpy()]
        objects = classes[found.object_classes.numpy()]
        ends = [
            fit_boxes(boxes.numpy(), own, xywh, names, self.min_overlap)
            for boxes, own in ((found.subject_boxes, subjects), (found.object_boxes, objects))
        ]
        both = np.stack([found.subject_scores.numpy(), found.object_scores.numpy()], 1)  # Q x 2
        columns = [labels.relations.index(name) for name in self._asked]
        relation = found.relation_scores.numpy()[:, columns]  # Q x asked
        best: dict[Candidate, tuple[float, int, int]] = {}
        for query in np.flatnonzero((ends[0] >= 0) & (ends[1] >= 0) & (ends[0] != ends[1])).tolist():
            pair = ids[ends[0][query]], ids[ends[1][query]]
            for column, name in enumerate(self._asked):
                likelihood = float(relation[query, column] * both[query].prod())
                key = Candidate(*pair, name, -1)
                if key not in best or likelihood > best[key][0]:
                    best[key] = likelihood, query, column
        rows = [(query, column) for _, query, column in best.values()]
        queries, chosen = np.array(rows, int).reshape(-1, 2).T
        return Scores(
            image.image_id,
            relation[queries, chosen].astype(np.float32),
            both[queries, 0].astype(np.float32),
            both[queries, 1].astype(np.float32),
            list(best),
        )

    def _model(self) -> Loaded:
        if self._loaded is None:
            raise RuntimeError("load() was not called")
        return self._loaded


stage = Backend(RelabelStage, PairDetector)
