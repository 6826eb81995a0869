"""The caption stage of every model: images in, captions and an account of every image out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from torch import Tensor

from relforge.images import MAX_PIXELS, ImageError, check_max_pixels, decode, read
from relforge.images.prefetch import prefetch
from relforge.images.resize import resize
from relforge.models.blip.uniform import derive_random_key
from relforge.stages.account import Account
from relforge.stages.caption.captioner import Caption, Captioner, Image, LoadedCaptioner
from relforge.stages.caption.clean import clean
from relforge.stages.caption.quality import REASONS, check_reasons, find_fault
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS, conform


class CaptionStage:
    """Captions every image of a shard.

    Args:
        captioner: the model.
        seed: run seed; with the image id and the sample index it decides every caption.
        drop: quality reasons whose captions are left out (`stages.caption.quality`); all are counted.
        threads: image decoders.
        max_pixels: of the dataset's images, see `images.decode_oriented`.

    Raises:
        ValueError: an unknown reason in `drop`, or a limit that cannot be.
    """

    name = "caption"
    inputs: tuple[str, ...] = ("images",)
    outputs: tuple[str, ...] = ("captions",)

    def __init__(
        self,
        captioner: Captioner,
        seed: int = 0,
        drop: Sequence[str] = REASONS,
        threads: int = 2,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        check_reasons(drop)
        check_max_pixels(max_pixels)
        self.max_pixels = max_pixels
        self.captioner, self.seed, self.drop, self.threads = captioner, seed, frozenset(drop), threads
        self.version = captioner.version
        self.neutral_options = ("threads", *captioner.neutral_options)
        self.loaded: LoadedCaptioner | None = None

    def files(self) -> Sequence[str]:
        return self.captioner.files()

    def setup(self) -> None:
        self.loaded = self.captioner.load()

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Caption the shard's images.

        An image that cannot be read is quarantined under its reason; one that is left without a caption is
        dropped as `no_sound_caption`.

        Raises:
            RuntimeError: the captioner left an image out, or gave captions of one twice or of another's id.
        """
        if self.loaded is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        faults: Counter[str] = Counter()
        rows: dict[str, list[object]] = {name: [] for name in SCHEMAS["captions"].names}
        uncaptioned: set[str] = set()
        images = self._read(tables["images"], self.loaded.image_size, account, uncaptioned)
        for image_id, captions in self.captioner.caption(images):
            if image_id not in uncaptioned:
                raise RuntimeError(
                    f"image {image_id!r} was not given to the captioner, or has captions already"
                )
            uncaptioned.remove(image_id)
            captions = [caption._replace(text=clean(caption.text)[0]) for caption in captions]
            found = [find_fault(caption.text, self.loaded.prompt) for caption in captions]
            faults.update(reason for reason in found if reason)
            # captions keep their numbers where an earlier one is left out
            sound = [
                (n, c)
                for n, (c, reason) in enumerate(zip(captions, found, strict=True))
                if reason not in self.drop
            ]
            if sound:
                account.keep()
                self._append(rows, image_id, sound)
            else:
                account.drop("no_sound_caption")
        if uncaptioned:
            raise RuntimeError(f"the captioner gave no captions of images {sorted(uncaptioned)[:10]}")
        counts = {
            "caption_faults": dict(sorted(faults.items())),
            "captions_dropped": sum(n for reason, n in faults.items() if reason in self.drop),
        }
        table = conform("captions", pa.table(rows, schema=SCHEMAS["captions"]))
        return account.result({"captions": table}, {**counts, **self.loaded.notes})

    def _read(
        self, images: pa.Table, size: int | None, account: Account, uncaptioned: set[str]
    ) -> Iterator[Image]:
        """The images that can be read, in table order; each is added to `uncaptioned` as it is yielded."""

        def prepare(uri: str | None, embedded: bytes | None) -> Tensor:
            # upright, whatever the boxes were written for: a caption describes the upright image
            pixels = decode(read(uri, embedded), max_pixels=self.max_pixels)
            height, width = (size, size) if size else pixels.shape[:2]
            return resize(pixels, height, width, "bicubic")

        for image_id, pixels in prefetch(images, ("uri", "bytes"), prepare, self.threads):
            if isinstance(pixels, ImageError):
                account.quarantine({"image_id": image_id}, pixels.reason, pixels.detail)
            else:
                uncaptioned.add(image_id)
                yield Image(image_id, derive_random_key(self.seed, image_id), pixels)

    def _append(
        self, rows: dict[str, list[object]], image_id: str, captions: Sequence[tuple[int, Caption]]
    ) -> None:
        assert self.loaded is not None
        for number, caption in captions:
            row = (image_id, number, caption.text, self.loaded.source, self.seed, caption.logprob)
            for column, value in zip(rows.values(), row, strict=True):
                column.append(value)
