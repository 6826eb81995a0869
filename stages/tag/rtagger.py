"""The tag stage with the R-Tagger (backend `rtagger`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from relforge.images import ImageError
from relforge.images.detection_resize import DetectionResize
from relforge.kernels.msda.self_test import SelfTest, self_test
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.rlipv2.published_model import load_tagger, model_files
from relforge.stages.contract import StageResult
from relforge.stages.match.groups import GROUP_PAIRS, published_groups
from relforge.stages.tag.pixels import prepared
from relforge.stages.tag.sheet import Asked, ScoreSheet, asked
from relforge.tagger.engine import Engine
from relforge.tagger.published_groups import label_groups
from relforge.tagger.request import Failure, Request
from relforge.tagger.text_cache import TextFeatures


class RTaggerStage:
    """Scores every candidate with the R-Tagger.

    Args:
        model: model folder, hub name of one, or a published `.pth`.
        classes: object names that boxes' labels compete with: names, or a file with one per line.
            By default those the model was trained on, and where it names none, the categories of the
            picture's own boxes.
        texts: `own` scores a pair against its own candidates; `union` reproduces the published function:
            groups of 100 pairs (fewer where the model has fewer slots), scored against all texts of up to
            `groups` groups, repeats included.
        groups: groups whose texts are merged, with `union` (`--img_inference_batch`).
        floor: scores not above it are dropped (0.05 published).
        short_side, long_side: picture size in pixels.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`.
        pictures: most pictures computed together; 0 chooses 1 on a CPU and 8 on a GPU.
        passes: most decoder passes computed together.
        cache: folder for text features; None keeps them in memory.
        tokenizer: folder or hub name, for a `.pth`.
        threads: picture decoders.
    """

    name = "tag"
    version = 2
    inputs = ("candidates", "boxes", "images")
    outputs = ("scores",)

    def __init__(
        self,
        model: str,
        classes: Sequence[str] | str | None = None,
        texts: str = "own",
        groups: int = 16,
        floor: float = 0.05,
        short_side: int = 800,
        long_side: int = 1333,
        device: str = "auto",
        dtype: str = "auto",
        pictures: int = 0,
        passes: int = 16,
        cache: str | None = None,
        tokenizer: str = "roberta-base",
        threads: int = 2,
    ) -> None:
        if texts not in ("own", "union"):
            raise ValueError(f"texts is {texts!r}; choose own or union")
        check_device_dtype(device, dtype)
        if not 0 <= floor < 1:
            raise ValueError(f"floor is {floor}; it must be a probability below 1")
        self.model, self.classes, self.tokenizer = model, classes, tokenizer
        self.texts, self.groups, self.floor = texts, groups, floor
        self.resize = DetectionResize(short_side, long_side)
        self.device, self.dtype, self.pictures, self.passes = device, dtype, pictures, passes
        self.cache, self.threads = cache, threads
        self.engine: Engine | None = None
        self.tagger = ""
        self.names: tuple[str, ...] = ()
        self.tested: SelfTest | None = None

    def files(self) -> Sequence[str]:
        return [*model_files(self.model), *([self.classes] if isinstance(self.classes, str) else [])]

    def setup(self) -> None:
        """Test the kernel, load the weights, open the text cache.

        Raises:
            SelfTestFailed: the deformable attention kernel is wrong on this machine.
            ValueError: the model or the class file cannot be read, or the model is not a tagger.
        """
        device, dtype = resolve_device_dtype(self.device, self.dtype)
        self.tested = self_test(str(device), dtype, gradients=False)
        loaded = load_tagger(self.model, tokenizer=self.tokenizer)
        if loaded.blueprint.kind != "rtagger":
            raise ValueError(f"{self.model} is a {loaded.blueprint.kind} model, not an R-Tagger")
        self.tagger = f"rtagger:{loaded.sha256[:12]}"
        self.names = _class_names(self.classes) or tuple(loaded.blueprint.classes)
        model = loaded.model.to(device)
        self.engine = Engine(
            model,
            TextFeatures(model.text_encoder, loaded.sha256, self.cache),
            dtype=dtype,
            batch_size=self.pictures or (1 if device.type == "cpu" else 8),
            decoder_batches=self.passes,
            floor=self.floor,
        )

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Score a shard; a picture that cannot be used or computed is quarantined with its candidates."""
        if self.engine is None or self.tested is None:
            raise RuntimeError("setup() was not called")
        sheet = ScoreSheet(self.tagger, self.floor)
        groups = asked(tables["candidates"], tables["boxes"])
        self._drop_long_texts(groups, sheet)
        if self.texts == "own":
            self._own(groups, tables["images"], sheet)
        else:
            self._union(groups, tables["images"], sheet)
        notes = {"kernel": self.tested.kernel, "dtype": self.tested.dtype, "device": self.tested.device}
        return sheet.result(notes)

    def _own(self, groups: Mapping[str, Asked], images: pa.Table, sheet: ScoreSheet) -> None:
        assert self.engine is not None
        for result in self.engine.run(self._requests(groups, images, sheet)):
            group = groups[result.image_id]
            if isinstance(result, Failure):
                sheet.quarantine(group, result.reason, result.detail)
                continue
            ends = zip(result.scores, result.subject_scores, result.object_scores, strict=True)
            for row, (score, subject, object_) in zip(group.rows, ends, strict=True):
                sheet.score(row, float(score), float(subject), float(object_))

    def _union(self, groups: Mapping[str, Asked], images: pa.Table, sheet: ScoreSheet) -> None:
        """The published function; a relation proposed by another pair has support 0 and rule `union`."""
        assert self.engine is not None
        for request in self._requests(groups, images, sheet):
            group = groups[request.image_id]
            order = sorted(group.boxes)
            proposed = [
                (s, o, row["predicate"], row["position"])
                for (s, o, _), row in zip(request.candidates, group.rows, strict=True)
            ]
            own = {(row["subject_box"], row["object_box"], row["predicate"]): row for row in group.rows}
            together = published_groups(proposed, min(GROUP_PAIRS, self.engine.max_pairs))
            for found in label_groups(
                self.engine, request, together, groups_per_call=self.groups, threshold=self.floor
            ):
                subject, object_ = (order[i] for i in found.pair)
                strange = {
                    "image_id": request.image_id,
                    "subject_box": subject,
                    "object_box": object_,
                    "predicate": found.text,
                    "position": -1,
                    "support": 0,
                    "caption_ids": [],
                    "triplet_ids": [],
                    "rule": "union",
                }
                row = own.get((subject, object_, found.text), strange)
                sheet.add(row, found.score, found.subject_score, found.object_score)
            sheet.kept += len(group.rows)

    def _requests(
        self, groups: Mapping[str, Asked], images: pa.Table, sheet: ScoreSheet
    ) -> Iterator[Request]:
        wanted = images.filter(pc.is_in(images["image_id"], pa.array(list(groups), pa.string())))
        sizes = dict(
            zip(
                wanted["image_id"].to_pylist(),
                zip(wanted["width"].to_pylist(), wanted["height"].to_pylist(), strict=True),
                strict=True,
            )
        )
        for image_id in groups.keys() - sizes.keys():
            raise ValueError(f"image {image_id} has candidates but no row in the images table")
        for image_id, pixels in prepared(wanted, self.resize, self.threads):
            group = groups[image_id]
            if isinstance(pixels, ImageError):
                sheet.quarantine(group, pixels.reason, pixels.detail)
            else:
                yield _request(group, pixels, sizes[image_id], self.names)

    def _drop_long_texts(self, groups: dict[str, Asked], sheet: ScoreSheet) -> None:
        assert self.engine is not None
        for image_id, group in list(groups.items()):
            fitting = [row for row in group.rows if self.engine.features.fits(row["predicate"])]
            if len(fitting) < len(group.rows):
                sheet.drop("text_too_long", len(group.rows) - len(fitting))
                group.rows = fitting
            if not fitting:
                del groups[image_id]


def _request(group: Asked, pixels: Tensor, size: tuple[int, int], names: Sequence[str]) -> Request:
    """Boxes clamped to the picture and scaled to [0, 1]; categories unknown to the model join its list."""
    order = sorted(group.boxes)
    index = {box_id: i for i, box_id in enumerate(order)}
    xywh = torch.tensor([group.boxes[i][1:] for i in order], dtype=torch.float64)
    limit = torch.tensor(size, dtype=torch.float64)
    low = xywh[:, :2].clamp(min=0).minimum(limit)
    high = (xywh[:, :2] + xywh[:, 2:]).clamp(min=0).minimum(limit)
    boxes = torch.cat([(low + high) / 2 / limit, (high - low) / limit], 1).float()
    labels = [group.boxes[i][0] for i in order]
    own = sorted(set(labels) - set(names))
    return Request(
        image_id=group.image_id,
        pixels=pixels,
        boxes=boxes,
        labels=labels,
        candidates=[
            (index[row["subject_box"]], index[row["object_box"]], row["predicate"]) for row in group.rows
        ],
        classes=[*names, *own],
    )


def _class_names(classes: Sequence[str] | str | None) -> tuple[str, ...]:
    if classes is None:
        return ()
    if not isinstance(classes, str):
        return tuple(classes)
    path = Path(classes).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"stages.tag.classes: {path} cannot be read: {error.strerror}") from error
    return tuple(line.strip() for line in lines if line.strip())
