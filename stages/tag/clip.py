"""The CLIP baseline tagger of the paper's Table 5: the union of a pair's boxes against two prompts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relforge.images.resize import normalise, resize
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.stages.backend import Backend
from relforge.stages.tag.stage import TagStage
from relforge.stages.tag.tagger import ImageCandidates, LoadedTagger, Scores
from relforge.tagger.request import Failure

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPModel

    from relforge.models.gpu import ReadBack

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
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        batch_size: rectangles computed in one batch at most.
    """

    version = 3
    neutral_options: tuple[str, ...] = ("device", "batch_size")

    def __init__(
        self,
        model: str = "openai/clip-vit-base-patch32",
        positive: str = POSITIVE,
        negative: str = NEGATIVE,
        device: str = "auto",
        batch_size: int = 64,
    ) -> None:
        for option, prompt in (("positive", positive), ("negative", negative)):
            try:
                prompt.format(subject="", relation="", object="")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(
                    f"{option} is {prompt!r}; use {{subject}}, {{relation}} and {{object}} only"
                ) from error
        check_device_dtype(device)
        self.model, self.positive, self.negative = model, positive, negative
        self.device, self.batch_size = device, batch_size
        self.network: CLIPModel | None = None
        self.prompts: dict[str, Tensor] = {}

    def files(self) -> Sequence[str]:
        return resolve_model(self.model).files

    def load(self, floor: float) -> LoadedTagger:
        from transformers import AutoTokenizer, CLIPModel

        device, _ = resolve_device_dtype(self.device)
        folder = resolve_model(self.model).path
        self.network = CLIPModel.from_pretrained(folder).eval().to(device)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return LoadedTagger(f"clip:{Path(self.model).name}")

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return pixels

    def fits(self, predicate: str) -> bool:
        """Longer prompts are cut to what the model reads."""
        return True

    def tag(self, images: Iterable[ImageCandidates[NDArray[np.uint8]]]) -> Iterator[Scores | Failure]:
        from relforge.models.gpu import ReadBack

        ahead = 1 if self._on_gpu() else 0  # an image is prepared while the GPU computes the one before
        started: deque[tuple[str, ReadBack]] = deque()
        for image in images:
            started.append((image.image_id, ReadBack(self._score(image))))
            while len(started) > ahead:
                yield _finish(*started.popleft())
        for one in started:
            yield _finish(*one)

    def _on_gpu(self) -> bool:
        assert self.network is not None
        return self.network.device.type != "cpu"

    def _score(self, image: ImageCandidates[NDArray[np.uint8]]) -> Tensor:
        """Scores of the candidates, on the device."""
        import torch

        from relforge.models.gpu import exact_arithmetic, upload

        pairs = list(dict.fromkeys(candidate[:2] for candidate in image.candidates))
        texts = []  # of each candidate, positive and negative
        for candidate in image.candidates:
            words = {
                "subject": image.boxes[candidate.subject_box].category,
                "relation": candidate.predicate,
                "object": image.boxes[candidate.object_box].category,
            }
            texts.append((self.positive.format(**words), self.negative.format(**words)))
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            starts = range(0, len(pairs), self.batch_size)
            parts = [pairs[start : start + self.batch_size] for start in starts]
            crops = torch.cat([self._encode_crops(image, part) for part in parts])  # pairs x width
            self._encode_prompts(list(dict.fromkeys(text for own in texts for text in own)))
            prompts = torch.stack([self.prompts[text] for own in texts for text in own]).unflatten(0, (-1, 2))
            rows = [pairs.index(candidate[:2]) for candidate in image.candidates]
            assert self.network is not None
            (index,) = upload(self.network.device, torch.tensor(rows))
            if self._on_gpu():
                return (100 * prompts @ crops[index][..., None])[..., 0].softmax(1)[:, 0]
            # one by one: the last bits of a product depend on its size
            each = [(100 * prompts[i] @ crops[row]).softmax(0)[0] for i, row in enumerate(rows)]
            return torch.stack(each)

    def _encode_crops(
        self, image: ImageCandidates[NDArray[np.uint8]], pairs: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Unit image features, pairs x width, of the rectangles around each pair."""
        import torch

        from relforge.models.gpu import upload

        assert self.network is not None
        side = self.network.config.vision_config.image_size
        scale = image.pixels.shape[1] / image.width
        unions = [union_crop(image.pixels, image.boxes[s].xywh, image.boxes[o].xywh, scale) for s, o in pairs]
        crops = torch.stack([resize(union, side, side, "bicubic") for union in unions])
        (there,) = upload(self.network.device, crops)
        inputs = normalise(there, CLIP_MEAN, CLIP_STD)
        return _unit(self.network.get_image_features(pixel_values=inputs))

    def _encode_prompts(self, texts: Sequence[str]) -> None:
        """Unit text features of prompts into `self.prompts`; on a CPU one by one, so that no feature depends
        on other prompts, to the last bit."""
        from relforge.models.gpu import upload

        assert self.network is not None
        new = [text for text in texts if text not in self.prompts]
        size = self.batch_size if self._on_gpu() else 1
        for start in range(0, len(new), size):
            part = new[start : start + size]
            tokens = self.tokenizer(part, return_tensors="pt", truncation=True, max_length=77, padding=True)
            ids, mask = upload(self.network.device, tokens["input_ids"], tokens["attention_mask"])
            features = _unit(self.network.get_text_features(input_ids=ids, attention_mask=mask))
            self.prompts.update(zip(part, features, strict=True))


def _finish(image_id: str, scores: ReadBack) -> Scores:
    return Scores(image_id, scores.wait().float().numpy())


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
    import torch

    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return torch.nn.functional.normalize(tensor, dim=-1)


stage = Backend(TagStage, ClipTagger)
