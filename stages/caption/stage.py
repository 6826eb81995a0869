"""The caption stage of every model: images in, captions and an account of every image out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relforge.images import MAX_PIXELS, ImageError, check_max_pixels, decode, decode_as_annotated, read
from relforge.images.prefetch import prefetch
from relforge.images.resize import resize
from relforge.machine import choose_decoders
from relforge.models.blip.uniform import derive_random_key
from relforge.stages.account import Account
from relforge.stages.caption.captioner import Caption, Captioner, Image, LoadedCaptioner
from relforge.stages.caption.clean import clean
from relforge.stages.caption.parts import PartsOfImages
from relforge.stages.caption.quality import REASONS, check_reasons, find_fault
from relforge.stages.caption.regions import KINDS
from relforge.stages.caption.regions_table import REGIONS
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS, TableSpec, conform

if TYPE_CHECKING:
    from torch import Tensor


class CaptionStage:
    """Captions every image of a shard.

    Args:
        captioner: the model.
        seed: run seed; with the image id and the sample index it decides every caption.
        drop: quality reasons whose captions are left out (`stages.caption.quality`); all are counted.
        threads: image decoders. None: 2; where the worker has a GPU up to 8, as there are CPUs.
        regions: parts of the image that are captioned too (`stages.caption.regions`): `none`, `people` or
            `pairs`. They are found by the boxes; the table `regions` says which captions are theirs.
        region_captions: captions kept of each region, the first ones.
        max_pixels: of the dataset's images, see `images.decode_oriented`.
        orientation: what boxes were written for, see `images.decode_oriented`; read where regions are cut.

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
        threads: int | None = None,
        regions: str = "none",
        region_captions: int = 4,
        max_pixels: int = MAX_PIXELS,
        orientation: str | None = None,
    ) -> None:
        check_reasons(drop)
        if regions not in KINDS:
            raise ValueError(f"caption.regions: {regions!r}; choose one of {', '.join(KINDS)}")
        if region_captions < 1:
            raise ValueError(f"caption.region_captions: {region_captions} keeps nothing; use 1 or more")
        self.regions, self.region_captions, self.orientation = regions, region_captions, orientation
        self.schemas: dict[str, TableSpec] = {}
        if regions != "none":
            self.inputs, self.outputs = ("images", "boxes"), ("captions", "regions")
            self.schemas = {"regions": REGIONS}
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
        parts = PartsOfImages(self._boxes(tables), self.regions)
        images = self._read(tables["images"], self.loaded.image_size, account, uncaptioned, parts)
        for part, captions in self.captioner.caption(images):
            if part not in uncaptioned:
                raise RuntimeError(f"image {part!r} was not given to the captioner, or has captions already")
            uncaptioned.remove(part)
            if parts.is_region(part):
                captions = captions[: self.region_captions]
            captions = [caption._replace(text=clean(caption.text)[0]) for caption in captions]
            found = [find_fault(caption.text, self.loaded.prompt) for caption in captions]
            faults.update(reason for reason in found if reason)
            # captions keep their numbers where an earlier one is left out
            sound = [
                (n, c)
                for n, (c, reason) in enumerate(zip(captions, found, strict=True))
                if reason not in self.drop
            ]
            of_image = parts.add(part, len(captions), sound)
            if of_image is None:
                continue  # other parts of the image are still to come
            image_id, numbered = of_image
            if numbered:
                account.keep()
                self._append(rows, image_id, numbered)
            else:
                account.drop("no_sound_caption")
        if uncaptioned:
            raise RuntimeError(f"the captioner gave no captions of images {sorted(uncaptioned)[:10]}")
        counts = {
            "caption_faults": dict(sorted(faults.items())),
            "captions_dropped": sum(n for reason, n in faults.items() if reason in self.drop),
        }
        made = {"captions": conform("captions", pa.table(rows, schema=SCHEMAS["captions"]))}
        if self.regions != "none":
            made["regions"] = conform("regions", parts.to_table(), REGIONS)
        return account.result(made, {**counts, **self.loaded.notes})

    def _boxes(self, tables: Mapping[str, pa.Table]) -> dict[str, list[dict[str, object]]]:
        """Image -> its boxes, where regions are wanted."""
        found: dict[str, list[dict[str, object]]] = {}
        if self.regions != "none":
            for box in (
                tables["boxes"].sort_by([("image_id", "ascending"), ("box_id", "ascending")]).to_pylist()
            ):
                found.setdefault(box["image_id"], []).append(box)
        return found

    def _read(
        self,
        images: pa.Table,
        size: int | None,
        account: Account,
        uncaptioned: set[str],
        parts: PartsOfImages,
    ) -> Iterator[Image]:
        """The images that can be read, in table order, each with its regions; each is added to `uncaptioned`
        as it is yielded."""

        def square(pixels: NDArray[np.uint8]) -> Tensor:
            height, width = (size, size) if size else pixels.shape[:2]
            return resize(pixels, height, width, "bicubic")

        def prepare(
            image_id: str, uri: str | None, embedded: bytes | None, width: int, height: int
        ) -> list[Tensor]:
            data = read(uri, embedded)
            # upright, whatever the boxes were written for: a caption describes the upright image
            whole = square(decode(data, max_pixels=self.max_pixels))
            regions = parts.choose(image_id, (width, height))
            if not regions:
                return [whole]
            annotated = decode_as_annotated(data, (width, height), self.max_pixels, self.orientation).pixels
            return [whole, *(square(region.crop(annotated)) for region in regions)]

        columns = ("image_id", "uri", "bytes", "width", "height")
        for image_id, tensors in prefetch(images, columns, prepare, self.threads or choose_decoders(8)):
            if isinstance(tensors, ImageError):
                account.quarantine({"image_id": image_id}, tensors.reason, tensors.detail)
                continue
            names = parts.names(image_id, len(tensors))
            uncaptioned.update(names)
            for name, pixels in zip(names, tensors, strict=True):
                # a region has random numbers of its own, so others may come and go beside it
                yield Image(name, derive_random_key(self.seed, name), pixels)

    def _append(
        self, rows: dict[str, list[object]], image_id: str, captions: Sequence[tuple[int, Caption]]
    ) -> None:
        assert self.loaded is not None
        for number, caption in captions:
            row = (image_id, number, caption.text, self.loaded.source, self.seed, caption.logprob)
            for column, value in zip(rows.values(), row, strict=True):
                column.append(value)
