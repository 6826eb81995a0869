"""Tagger `rtagger`: RLIPv2's R-Tagger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relforge.images.detection_resize import DetectionResize
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import PUBLISHED_SUFFIXES, resolve_model
from relforge.stages.backend import Backend
from relforge.stages.class_names import spell_as
from relforge.stages.match.groups import GROUP_PAIRS, published_groups
from relforge.stages.name_list import read_names
from relforge.stages.tag.stage import TagStage
from relforge.stages.tag.tagger import Candidate, ImageCandidates, LoadedTagger, Scores
from relforge.tagger.request import Failure, Request

if TYPE_CHECKING:
    from torch import Tensor

    from relforge.tagger.engine import Engine


class RTagger:
    """Scores candidates with the R-Tagger (RLIPv2, §4.2).

    Args:
        model: model folder, hub name of one, or a published `.pth`.
        classes: object names that boxes' labels compete with: names, or a file with one per line.
            By default those the model was trained on, and where it names none, the categories of the
            image's own boxes.
        texts: `own` scores a pair against its own candidates; `union` reproduces the published function:
            groups of 100 pairs (fewer where the model has fewer queries), scored against all texts of up to
            `groups` groups, repeats included.
        groups: groups whose texts are merged, with `union` (`--img_inference_batch`).
        short_side, long_side: image size in pixels.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`.
        batch_size: images computed in one batch at most; 0 chooses 1 on a CPU and 8 on a GPU.
        decoder_batches: decoder batches computed in one call at most.
        cache: folder for text features; None keeps them in memory.
        tokenizer: folder or hub name, for a `.pth`.
        gate: of a `.pth`, where scalar and vector gates have equal keys: by default `vector` on ResNet and
            `scalar` on Swin, as released.
        graphs: on a GPU in bfloat16, replay batches of a size that comes again as one CUDA graph, where
            memory allows.

    Raises:
        ValueError: an unknown choice, or a class file that cannot be read (from `load`).
    """

    version = 4
    neutral_options: tuple[str, ...] = ("device", "batch_size", "decoder_batches", "cache", "graphs")

    def __init__(
        self,
        model: str,
        classes: Sequence[str] | str | None = None,
        texts: str = "own",
        groups: int = 16,
        short_side: int = 800,
        long_side: int = 1333,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 0,
        decoder_batches: int = 16,
        cache: str | None = None,
        tokenizer: str = "roberta-base",
        gate: str | None = None,
        graphs: bool = True,
    ) -> None:
        if texts not in ("own", "union"):
            raise ValueError(f"texts is {texts!r}; choose own or union")
        check_device_dtype(device, dtype)
        self.model, self.classes, self.tokenizer, self.gate = model, classes, tokenizer, gate
        self.texts, self.groups = texts, groups
        self.resize = DetectionResize(short_side, long_side)
        self.device, self.dtype, self.cache = device, dtype, cache
        self.batch_size, self.decoder_batches, self.graphs = batch_size, decoder_batches, graphs
        self.names: tuple[str, ...] = ()
        self.relations: tuple[str, ...] = ()
        self.engine: Engine | None = None

    def files(self) -> Sequence[str]:
        published = Path(self.model).suffix in PUBLISHED_SUFFIXES
        companions = [self.tokenizer] if published else []
        classes = [self.classes] if isinstance(self.classes, str) else []
        return [*resolve_model(self.model, companions=companions).files, *classes]

    def load(self, floor: float) -> LoadedTagger:
        """Load the weights, test the kernel as the model calls it, open the text cache.

        Raises:
            SelfTestFailed: the deformable attention kernel is wrong on this machine.
            ValueError: the model or the class file cannot be read, or the model is not a tagger.
        """
        from relforge.kernels.msda.self_test import self_test, uses_of
        from relforge.models.published import load_pretrained
        from relforge.tagger.engine import Engine
        from relforge.tagger.gpu_model import prepare_for_gpu
        from relforge.tagger.text_cache import TextFeatures

        device, dtype = resolve_device_dtype(self.device, self.dtype)
        path = resolve_model(self.model).path
        loaded = load_pretrained(str(path), tokenizer=self.tokenizer, gate=self.gate)
        if loaded.blueprint.kind != "rtagger":
            raise ValueError(f"{self.model} is a {loaded.blueprint.kind} model, not an R-Tagger")
        self.names = read_names(self.classes, "stages.tag.classes") or tuple(loaded.blueprint.classes)
        self.relations = tuple(loaded.blueprint.relations)
        model = loaded.model.to(device)
        tested = self_test(str(device), dtype, gradients=False, uses=uses_of(model, str(device), dtype))
        if device.type != "cpu":
            prepare_for_gpu(model, dtype)
        self.engine = Engine(
            model,
            TextFeatures(model.text_encoder, loaded.sha256, self.cache),
            dtype=dtype,
            batch_size=self.batch_size or (1 if device.type == "cpu" else 8),
            decoder_batches=self.decoder_batches,
            floor=floor,
            graphs=None if self.graphs else False,
        )
        notes = {"kernel": tested.kernel, "dtype": tested.dtype, "device": tested.device}
        # the published function computes one image at a time
        margin = 0.0 if self.texts == "union" else self.engine.margin
        return LoadedTagger(f"rtagger:{loaded.sha256[:12]}", notes, margin)

    def prepare(self, pixels: NDArray[np.uint8]) -> Tensor:
        return self.resize(pixels)

    def fits(self, predicate: str) -> bool:
        return self._loaded().features.fits(predicate)

    def tag(self, images: Iterable[ImageCandidates[Tensor]]) -> Iterator[Scores | Failure]:
        engine = self._loaded()
        if self.texts == "union":
            for image in images:
                yield self._score_published(engine, image)
            return
        for result in engine.run(_request(image, self.names) for image in images):
            if isinstance(result, Failure):
                yield result
            else:
                yield Scores(result.image_id, result.scores, result.subject_scores, result.object_scores)

    def _loaded(self) -> Engine:
        if self.engine is None:
            raise RuntimeError("load() was not called")
        return self.engine

    def _score_published(self, engine: Engine, image: ImageCandidates[Tensor]) -> Scores:
        """The published function: a pair is also scored against what its group's other pairs are scored
        against."""
        from relforge.tagger.published_groups import label_groups

        request = _request(image, self.names)
        box_ids = sorted(image.boxes)
        proposed = [
            (subject, object_, text, candidate.position)
            for (subject, object_, text), candidate in zip(request.candidates, image.candidates, strict=True)
        ]
        number = {candidate[:3]: i for i, candidate in enumerate(image.candidates)}
        groups = published_groups(proposed, min(GROUP_PAIRS, engine.max_pairs))
        found = label_groups(engine, request, groups, groups_per_call=self.groups, threshold=engine.floor)
        scored: list[int | Candidate] = []
        for row in found:
            relation = (box_ids[row.pair[0]], box_ids[row.pair[1]], row.text)
            scored.append(number.get(relation, Candidate(*relation, position=-1)))
        relation_scores, subject_scores, object_scores = (
            np.array([getattr(row, name) for row in found], np.float32)
            for name in ("score", "subject_score", "object_score")
        )
        return Scores(image.image_id, relation_scores, subject_scores, object_scores, scored)


def _request(image: ImageCandidates[Tensor], names: Sequence[str]) -> Request:
    """Boxes clamped to the image and scaled to [0, 1]; categories unknown to the model join its list."""
    import torch

    box_ids = sorted(image.boxes)
    index = {box_id: i for i, box_id in enumerate(box_ids)}
    xywh = torch.tensor([image.boxes[i].xywh for i in box_ids], dtype=torch.float64)  # n x 4, pixels
    limit = torch.tensor((image.width, image.height), dtype=torch.float64)
    low = xywh[:, :2].clamp(min=0).minimum(limit)
    high = (xywh[:, :2] + xywh[:, 2:]).clamp(min=0).minimum(limit)
    given = [image.boxes[i].category for i in box_ids]
    spelling = spell_as(dict.fromkeys(given), names)  # the model knows `person`, whatever the data set writes
    labels = [spelling[category] for category in given]
    return Request(
        image_id=image.image_id,
        pixels=image.pixels,
        boxes=torch.cat([(low + high) / 2 / limit, (high - low) / limit], 1).float(),
        labels=labels,
        candidates=[(index[c.subject_box], index[c.object_box], c.predicate) for c in image.candidates],
        classes=[*names, *sorted(set(labels) - set(names))],
    )


stage = Backend(TagStage, RTagger)
