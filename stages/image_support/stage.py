"""The stage `image_support`: a model of whole images (DEFR) says whether an interaction is in the image.

It sees no boxes, so it errs otherwise than a tagger of pairs does. Selection may weigh its probability
(`stages.select`, `support_image` and `support_floor`); queries may join it by the keys of `candidates`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from relforge.images import MAX_PIXELS, ImageError, check_max_pixels, decode, read
from relforge.images.prefetch import prefetch
from relforge.images.resize import normalise, resize
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.stages.account import Account
from relforge.stages.class_names import class_key
from relforge.stages.contract import StageResult
from relforge.stages.image_labels.verbs import VERB_FORMS, VerbForms, own_lemmas
from relforge.stages.image_support.table import IMAGE_SUPPORT, KEYS
from relforge.stages.interactions import HICO600, read_interactions
from relforge.stages.tables import TableSpec, conform

if TYPE_CHECKING:
    from torch import Tensor

PERSON = "person"


class ImageSupportStage:
    """Args:
    model: folder, hub name or released file of a model of whole images.
    temperature: probabilities are sigmoid(logit / temperature).
    verb_forms: YAML of wordings of verbs, as `image_labels` takes it; by default the built-in one.
    device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
    threads: image decoders.
    max_pixels: of the dataset's images, see `images.decode_oriented`.
    candidates: table they are read from: `candidates`, or `grounded` where the run has that stage.

    Raises:
        ValueError: an option that cannot be.
    """

    name = "image_support"
    version = 1
    inputs: tuple[str, ...] = ("candidates", "boxes", "images")
    outputs: tuple[str, ...] = ("image_support",)
    schemas: ClassVar[Mapping[str, TableSpec]] = {"image_support": IMAGE_SUPPORT}
    neutral_options: tuple[str, ...] = ("device", "threads")

    def __init__(
        self,
        model: str,
        temperature: float = 1.0,
        verb_forms: str | None = None,
        device: str = "auto",
        threads: int = 2,
        max_pixels: int = MAX_PIXELS,
        candidates: str = "candidates",
    ) -> None:
        if not isinstance(temperature, int | float) or temperature <= 0:
            raise ValueError(f"image_support.temperature: {temperature} is not above 0")
        check_device_dtype(device)
        check_max_pixels(max_pixels)
        self._model_name, self._temperature, self._device = model, temperature, device
        self._threads, self._max_pixels = threads, max_pixels
        self._verb_forms = VERB_FORMS if verb_forms is None else Path(verb_forms)
        self.inputs = (candidates, *self.inputs[1:])
        self._model: Any = None

    def files(self) -> Sequence[str]:
        return [*resolve_model(self._model_name).files, str(self._verb_forms)]

    def setup(self) -> None:
        from relforge.models.image_recogniser import image_recogniser
        from relforge.models.published import load_pretrained

        loaded = load_pretrained(self._model_name)
        self._device, _ = resolve_device_dtype(self._device)
        self._model = image_recogniser(loaded.model.to(self._device).eval(), loaded.blueprint.kind)
        pairs = [(str(verb), str(object_)) for verb, object_ in loaded.blueprint.interactions]
        if pairs[0][0] == "interaction 0":  # a released file: HICO's, in its order
            pairs = list(read_interactions(HICO600))
        self._verbs = VerbForms(self._verb_forms, [verb for verb, _ in pairs])
        self._code = {(verb, class_key(object_)): code for code, (verb, object_) in enumerate(pairs)}

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Score a shard's candidates: one pass of the model per image.

        A candidate is kept where the model tells its interaction, else dropped: `not_a_person` (its subject)
        or `not_in_vocabulary`. Those of an image that cannot be read are quarantined under its reason.
        """
        if self._model is None:
            self.setup()
        account = Account()
        classes = _classes(tables["boxes"])
        wanted: dict[str, list[tuple[dict[str, Any], list[int]]]] = defaultdict(list)
        for row in tables[self.inputs[0]].select(list(KEYS)).to_pylist():
            image = row["image_id"]
            if class_key(classes.get((image, row["subject_box"]), "")) != PERSON:
                account.drop("not_a_person")
                continue
            codes = self._codes(row["predicate"], classes.get((image, row["object_box"]), ""))
            if codes:
                wanted[image].append((row, codes))
            else:
                account.drop("not_in_vocabulary")
        rows: list[dict[str, Any]] = []
        for image, pixels in self._pixels(tables["images"], wanted):
            if isinstance(pixels, ImageError):
                for row, _ in wanted[image]:
                    account.quarantine(row, pixels.reason, pixels.detail)
                continue
            shown = self._probabilities(pixels)
            for row, codes in wanted[image]:
                rows.append(row | {"support_image": float(shown[codes].max())})
            account.keep(len(wanted[image]))
        table = pa.Table.from_pylist(rows, schema=IMAGE_SUPPORT.schema)
        return account.result({"image_support": conform("image_support", table, IMAGE_SUPPORT)})

    def _codes(self, predicate: str, object_: str) -> list[int]:
        """The model's classes that a predicate and an object's class say."""
        for lemma in own_lemmas(predicate):
            for verbs in self._verbs.find(lemma):
                key = class_key(object_)
                if found := [self._code[verb, key] for verb in verbs if (verb, key) in self._code]:
                    return found
        return []

    def _pixels(self, images: pa.Table, wanted: Mapping[str, object]) -> Any:
        """(image id, square of uint8 pixels or why there is none) of the images that have candidates."""
        has_candidates = [name in wanted for name in images["image_id"].to_pylist()]
        needed = images.filter(pa.array(has_candidates, pa.bool_()))
        side = self._model.image_size

        def prepare(uri: str | None, embedded: bytes | None) -> Tensor:
            return resize(decode(read(uri, embedded), max_pixels=self._max_pixels), side, side, "bicubic")

        return prefetch(needed, ("uri", "bytes"), prepare, self._threads)

    def _probabilities(self, pixels: Tensor) -> np.ndarray:
        import torch

        from relforge.models.gpu import exact_arithmetic

        image = normalise(pixels[None].to(self._device), *self._model.statistics)
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            found: np.ndarray = (self._model(image)[0].float() / self._temperature).sigmoid().cpu().numpy()
        return found


def _classes(boxes: pa.Table) -> dict[tuple[str, int], str]:
    columns = (boxes[name].to_pylist() for name in ("image_id", "box_id", "category"))
    return {(image, box): category for image, box, category in zip(*columns, strict=True)}
