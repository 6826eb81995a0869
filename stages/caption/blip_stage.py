"""The caption stage with our own BLIP decoder (backend `blip`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from torch import Tensor

from relforge.images import ImageError
from relforge.models.blip.beams import Beams
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import list_files, load
from relforge.models.blip.nucleus import Nucleus
from relforge.models.blip.uniform import image_key
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.stages.caption.asked import check_asked
from relforge.stages.caption.captions import CaptionSheet
from relforge.stages.caption.pixels import pictures
from relforge.stages.caption.quality import REASONS
from relforge.stages.contract import StageResult


class BlipStage:
    """Captions every image of a shard with BLIP. Defaults are the published settings.

    Args:
        model: transformers folder, hub name, or an original BLIP / LAVIS `.pth`.
        seed: run seed; with the image id and the sample index it decides every caption.
        mode: `nucleus` (sampled, `captions` per image) or `beam` (the likeliest one).
        captions: per image, with `nucleus`.
        top_p, top_k, temperature: see `Nucleus`.
        repetition_penalty: default 1.1 with `nucleus`, 1.0 with `beam`.
        num_beams: with `beam`.
        min_length, max_length: tokens per caption, the prompt's included.
        prompt: words every caption starts with; default: the model's.
        tokenizer: folder or `vocab.txt`; default: the model's, `bert-base-uncased` for a `.pth`.
        image_size: pixels; default: the model's.
        revision: of a hub name.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`; on a CPU with a tile
            unit (AMX) float32 products split their operands in two and bfloat16 rounds nothing but operands.
        rows: captions decoded together; 0 chooses 120 on a CPU and 640 on a GPU.
        graphs: replay each decoding step as one CUDA graph; `nucleus` on a GPU only.
        threads: picture decoders.
        drop: quality reasons whose captions are left out (`stages.caption.quality`); all are counted.
    """

    name = "caption"
    version = 3
    inputs = ("images",)
    outputs = ("captions",)

    def __init__(
        self,
        model: str = "Salesforce/blip-image-captioning-large",
        seed: int = 0,
        mode: str = "nucleus",
        captions: int = 10,
        top_p: float = 0.9,
        top_k: int = 50,
        temperature: float = 1.0,
        repetition_penalty: float | None = None,
        num_beams: int = 3,
        min_length: int = 5,
        max_length: int = 20,
        prompt: str | None = None,
        tokenizer: str | None = None,
        image_size: int | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        rows: int = 0,
        graphs: bool = False,
        threads: int = 2,
        drop: Sequence[str] = REASONS,
    ) -> None:
        check_asked(mode, captions, drop)
        check_device_dtype(device, dtype)
        self.how: Nucleus | Beams
        if mode == "nucleus":
            penalty = 1.1 if repetition_penalty is None else repetition_penalty
            self.how = Nucleus(top_p, top_k, temperature, penalty, min_length, max_length)
        else:
            self.how = Beams(num_beams, repetition_penalty or 1.0, min_length, max_length)
        self.samples = captions if mode == "nucleus" else 1
        self.seed, self.threads, self.drop = seed, threads, tuple(drop)
        self.device, self.dtype, self.rows, self.graphs = device, dtype, rows, graphs
        self.options: dict[str, Any] = {
            "model": model,
            "tokenizer": tokenizer,
            "prompt": prompt,
            "image_size": image_size,
            "revision": revision,
        }
        self.captioner: BlipCaptioner | None = None

    def files(self) -> Sequence[str]:
        return list_files(self.options["model"], self.options["tokenizer"], self.options["revision"])

    def setup(self) -> None:
        """Load the weights and pack them for this machine.

        Raises:
            FileNotFoundError, ValueError: see `checkpoint.load`.
        """
        device, dtype = resolve_device_dtype(self.device, self.dtype)
        self.captioner = BlipCaptioner(
            load(**self.options),
            self.how,
            self.samples,
            device,
            dtype,
            self.rows or (120 if device.type == "cpu" else 640),
            self.graphs,
        )

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Caption the shard's images; a picture that cannot be read is quarantined under its reason."""
        if self.captioner is None:
            raise RuntimeError("setup() was not called")
        model = self.captioner.checkpoint
        prompt = model.tokenizer.decode(model.prompt[1:])
        sheet = CaptionSheet(model.name, self.seed, prompt, self.drop)
        for image_id, captions in self.captioner.run(self._pictures(tables["images"], sheet)):
            sheet.add(image_id, [(caption.text, caption.logprob) for caption in captions])
        how = self.captioner.arithmetic
        return sheet.result(
            {
                "device": str(how.device),
                "dtype": str(self.captioner.dtype).removeprefix("torch."),
                "products": f"tiles, {how.tiles}" if how.tiles else "torch",
            }
        )

    def _pictures(self, images: pa.Table, sheet: CaptionSheet) -> Iterator[tuple[str, int, Tensor]]:
        assert self.captioner is not None
        size = self.captioner.checkpoint.shape.vision.image_size
        for image_id, found in pictures(images, size, self.threads):
            if isinstance(found, ImageError):
                sheet.refuse(image_id, found.reason, found.detail)
            else:
                yield image_id, image_key(self.seed, image_id), found
