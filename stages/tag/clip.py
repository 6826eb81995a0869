"""The CLIP baseline tagger of the paper's Table 5: the union of a pair's boxes against two prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel

from relforge.images import ImageError
from relforge.images.resize import normalise, resize
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.stages.contract import StageResult
from relforge.stages.tag.pixels import prepared
from relforge.stages.tag.sheet import Asked, ScoreSheet, asked

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
POSITIVE = "a photo of {subject} {relation} {object}"
NEGATIVE = "a photo of {subject} not interacting with {object}"


class ClipTagger:
    """Scores a candidate by the softmax between "subject relation object" and "subject not interacting with
    object" on the smallest rectangle around both boxes (paper §5.3; threshold 0.8 published).

    Args:
        model: folder or hub name of a CLIP model; ViT-B/32, B/16 and L/14 were published.
        positive, negative: prompts with `{subject}`, `{relation}` and `{object}`.
        floor: scores not above it are dropped.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        crops: most rectangles computed together.
        threads: picture decoders.
    """

    name = "tag"
    version = 2
    inputs = ("candidates", "boxes", "images")
    outputs = ("scores",)

    def __init__(
        self,
        model: str = "openai/clip-vit-base-patch32",
        positive: str = POSITIVE,
        negative: str = NEGATIVE,
        floor: float = 0.05,
        device: str = "auto",
        crops: int = 64,
        threads: int = 2,
    ) -> None:
        for option, prompt in (("positive", positive), ("negative", negative)):
            try:
                prompt.format(subject="", relation="", object="")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(
                    f"{option} is {prompt!r}; use {{subject}}, {{relation}} and {{object}} only"
                ) from error
        check_device_dtype(device)
        self.model_name, self.positive, self.negative = model, positive, negative
        self.floor, self.device, self.crops, self.threads = floor, device, crops, threads
        self.model: CLIPModel | None = None
        self.prompts: dict[str, Tensor] = {}

    def files(self) -> Sequence[str]:
        folder = Path(self.model_name).expanduser()
        return sorted(str(path) for path in folder.glob("*.safetensors")) if folder.is_dir() else []

    def setup(self) -> None:
        """Load the model."""
        device, _ = resolve_device_dtype(self.device)
        self.model = CLIPModel.from_pretrained(self.model_name).eval().to(device)  # type: ignore[arg-type]
        self.tokenizer = AutoTokenizer.from_pretrained(self.model_name)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Score a shard; a picture that cannot be used is quarantined with its candidates."""
        sheet = ScoreSheet(f"clip:{Path(self.model_name).name}", self.floor)
        groups = asked(tables["candidates"], tables["boxes"])
        images = tables["images"]
        wanted = images.filter(pc.is_in(images["image_id"], pa.array(list(groups), pa.string())))
        sizes = dict(zip(wanted["image_id"].to_pylist(), wanted["width"].to_pylist(), strict=True))
        for image_id, pixels in prepared(wanted, lambda pixels: pixels, self.threads):
            group = groups[image_id]
            if isinstance(pixels, ImageError):
                sheet.quarantine(group, pixels.reason, pixels.detail)
            else:
                self._score(group, pixels, pixels.shape[1] / sizes[image_id], sheet)
        return sheet.result({})

    @torch.inference_mode()
    def _score(self, group: Asked, pixels: NDArray[np.uint8], scale: float, sheet: ScoreSheet) -> None:
        pairs = list(dict.fromkeys((row["subject_box"], row["object_box"]) for row in group.rows))
        features: dict[tuple[int, int], Tensor] = {}
        for start in range(0, len(pairs), self.crops):
            part = pairs[start : start + self.crops]
            features |= dict(zip(part, self._crops(group, pixels, scale, part), strict=True))
        for row in group.rows:
            words = {
                "subject": group.boxes[row["subject_box"]][0],
                "relation": row["predicate"],
                "object": group.boxes[row["object_box"]][0],
            }
            prompts = torch.stack([self._prompt(p.format(**words)) for p in (self.positive, self.negative)])
            crop = features[(row["subject_box"], row["object_box"])]
            score = (100 * prompts @ crop).softmax(0)[0]
            sheet.score(row, float(score))

    def _crops(
        self, group: Asked, pixels: NDArray[np.uint8], scale: float, pairs: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Unit image features, pairs x width, of the rectangles around each pair."""
        assert self.model is not None
        side = self.model.config.vision_config.image_size
        crops = torch.stack(
            [
                resize(
                    union_crop(pixels, group.boxes[s][1:], group.boxes[o][1:], scale), side, side, "bicubic"
                )
                for s, o in pairs
            ]
        )
        inputs = normalise(crops.to(self.model.device), CLIP_MEAN, CLIP_STD)
        return _unit(self.model.get_image_features(pixel_values=inputs))

    def _prompt(self, text: str) -> Tensor:
        """Unit text feature of a prompt, remembered."""
        assert self.model is not None
        if text not in self.prompts:
            tokens = self.tokenizer([text], return_tensors="pt", truncation=True, max_length=77)
            tokens = {k: tokens[k].to(self.model.device) for k in ("input_ids", "attention_mask")}
            self.prompts[text] = _unit(self.model.get_text_features(**tokens))[0]
        return self.prompts[text]


def union_crop(
    pixels: NDArray[np.uint8], first: Sequence[float], second: Sequence[float], scale: float
) -> NDArray[np.uint8]:
    """The smallest rectangle of H x W x 3 pixels around two boxes, at least one pixel.

    Args:
        first, second: x, y, w, h in annotated pixels.
        scale: stored pixels per annotated pixel.
    """
    height, width = pixels.shape[:2]
    left = min(max(int(min(first[0], second[0]) * scale), 0), width - 1)
    top = min(max(int(min(first[1], second[1]) * scale), 0), height - 1)
    right = int(np.ceil(max(first[0] + first[2], second[0] + second[2]) * scale))
    bottom = int(np.ceil(max(first[1] + first[3], second[1] + second[3]) * scale))
    return pixels[top : max(top + 1, min(bottom, height)), left : max(left + 1, min(right, width))].copy()


def _unit(features: Any) -> Tensor:
    tensor = features if isinstance(features, Tensor) else features.pooler_output
    return torch.nn.functional.normalize(tensor, dim=-1)
