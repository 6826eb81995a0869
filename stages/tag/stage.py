"""The tag stage of every model: candidates and images in, scores and an account of every candidate out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relforge.images import (
    MAX_PIXELS,
    ImageError,
    check_max_pixels,
    check_orientation,
    decode_as_annotated,
    read,
)
from relforge.images.prefetch import prefetch
from relforge.machine import choose_decoders
from relforge.stages.account import Account
from relforge.stages.candidate_columns import as_grounded
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS, conform
from relforge.stages.tag.groups import Group, group_by_image, quarantine, zip_columns
from relforge.stages.tag.tagger import Candidate, ImageCandidates, LoadedTagger, P, Scores, Tagger
from relforge.tagger.request import Failure


class TagStage(Generic[P]):
    """Scores every candidate with a model.

    Args:
        tagger: the model.
        floor: scores not above it are counted as `below_floor` and not written (0.05 published); on a GPU the
            R-Tagger writes them down to a margin below it (`LoadedTagger.margin`).
        threads: image decoders. None: 2; where the worker has a GPU up to 6, as there are CPUs.
        orientation, max_pixels: of the dataset's images, see `images.decode_oriented`.
        candidates: table they are read from: `candidates`, or `grounded` where the run has that stage.

    Raises:
        ValueError: a floor outside [0, 1), an unknown orientation, or a limit that cannot be.
    """

    name = "tag"
    inputs: tuple[str, ...] = ("candidates", "boxes", "images")
    outputs: tuple[str, ...] = ("scores",)

    def __init__(
        self,
        tagger: Tagger[P],
        floor: float = 0.05,
        threads: int | None = None,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
        candidates: str = "candidates",
    ) -> None:
        if not 0 <= floor < 1:
            raise ValueError(f"floor is {floor}; it must be a probability below 1")
        check_orientation(orientation)
        check_max_pixels(max_pixels)
        self.tagger, self.floor, self.threads = tagger, floor, threads
        self.orientation, self.max_pixels = orientation, max_pixels
        self.inputs = (candidates, *self.inputs[1:])
        self.version = tagger.version
        self.neutral_options = ("threads", *tagger.neutral_options)
        self.loaded: LoadedTagger | None = None

    def files(self) -> Sequence[str]:
        return self.tagger.files()

    def setup(self) -> None:
        self.loaded = self.tagger.load(self.floor)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Score a shard; an image that cannot be read or computed is quarantined with its candidates.

        `orientation_unsettled` of the notes counts images whose file asks for a turn, while neither the
        option nor the annotated size decides whether the boxes follow.

        Raises:
            ValueError: a candidate names a box or an image that is not in the tables.
        """
        if self.loaded is None:
            raise RuntimeError("setup() was not called")
        account = Account()
        groups = group_by_image(tables[self.inputs[0]], tables["boxes"])
        self._drop_long_texts(groups, account)
        rows = _Rows(as_grounded(tables[self.inputs[0]]))
        for result in self.tagger.tag(self._read(groups, tables["images"], account)):
            group = groups[result.image_id]
            if isinstance(result, Failure):
                quarantine(account, group, result.reason, result.detail)
                continue
            # compared in the column's own precision, so that the table never holds its own floor
            above = result.relation > np.float32(self.floor - self.loaded.margin)
            if result.scored is None:
                account.keep(int(above.sum()))
                account.drop("below_floor", int((~above).sum()))
            else:
                account.keep(len(group.rows))
            rows.add(group, result, above)
        notes = dict(self.loaded.notes)
        if self.loaded.margin:
            notes["margin"] = self.loaded.margin
        return account.result({"scores": rows.table(self.loaded.name)}, notes)

    def _drop_long_texts(self, groups: dict[str, Group], account: Account) -> None:
        for image_id, group in list(groups.items()):
            fitting = [i for i, one in enumerate(group.candidates) if self.tagger.fits(one.predicate)]
            account.drop("text_too_long", len(group.rows) - len(fitting))
            group.rows = [group.rows[i] for i in fitting]
            group.candidates = [group.candidates[i] for i in fitting]
            if not fitting:
                del groups[image_id]

    def _read(
        self, groups: Mapping[str, Group], images: pa.Table, account: Account
    ) -> Iterator[ImageCandidates[P]]:
        """The images that can be read, in table order."""
        images = images.filter(pc.is_in(images["image_id"], pa.array(list(groups), pa.string())))
        sizes = {one[0]: one[1:] for one in zip_columns(images, "image_id", "width", "height")}
        for image_id in groups.keys() - sizes.keys():
            raise ValueError(f"image {image_id} has candidates but no row in the images table")

        def prepare(uri: str | None, data: bytes | None, width: int, height: int) -> tuple[P, bool]:
            decoded = decode_as_annotated(read(uri, data), (width, height), self.max_pixels, self.orientation)
            return self.tagger.prepare(decoded.pixels), decoded.unsettled

        for image_id, image in prefetch(
            images, ("uri", "bytes", "width", "height"), prepare, self.threads or choose_decoders(6)
        ):
            group = groups[image_id]
            if isinstance(image, ImageError):
                quarantine(account, group, image.reason, image.detail)
            else:
                pixels, unsettled = image
                account.note("orientation_unsettled", int(unsettled))
                width, height = sizes[image_id]
                yield ImageCandidates(image_id, pixels, width, height, group.boxes, group.candidates)


class _Rows:
    """Rows of the `scores` table: candidates by their row number, and relations that are no candidates."""

    def __init__(self, candidates: pa.Table) -> None:
        self.candidates = candidates
        self.others: list[dict[str, object]] = []
        self.rows: list[int] = []
        self.scores: dict[str, list[NDArray[np.float32]]] = {
            name: [] for name in ("score", "subject_score", "object_score")
        }

    def add(self, group: Group, result: Scores, above: NDArray[np.bool_]) -> None:
        """Append the scores of an image that are `above` the floor."""
        for i in np.flatnonzero(above).tolist():
            scored = i if result.scored is None else result.scored[i]
            self.rows.append(group.rows[scored] if isinstance(scored, int) else self._other(group, scored))
        nothing = np.full(len(above), np.nan, np.float32)
        for values, scores in zip(
            (result.relation, result.subject, result.object), self.scores.values(), strict=True
        ):
            scores.append((nothing if values is None else values)[above])

    def _other(self, group: Group, relation: Candidate) -> int:
        """The row of a relation that no caption proposed."""
        evidence = {"support": 0, "caption_ids": [], "triplet_ids": [], "rule": "union"}
        evidence |= {"claim_id": relation.position, "alternatives": 0}
        self.others.append({"image_id": group.image_id, **relation._asdict(), **evidence})
        return self.candidates.num_rows + len(self.others) - 1

    def table(self, tagger: str) -> pa.Table:
        """All rows as the `scores` table."""
        others = pa.Table.from_pylist(self.others, SCHEMAS["grounded"])
        table = pa.concat_tables([self.candidates, others]).take(pa.array(self.rows, pa.int64()))
        for name, parts in self.scores.items():
            values = np.concatenate([np.zeros(0, np.float32), *parts])
            table = table.append_column(name, pa.array(values, pa.float32(), mask=np.isnan(values)))
        return conform(
            "scores", table.append_column("tagger", pa.array([tagger] * len(self.rows), pa.string()))
        )
