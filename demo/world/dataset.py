"""Splits of the world on disk, in the formats that real datasets come in.

    python -m relforge.demo.world.dataset OUT [--split vg-like=800 ...] [--seed N] [--size PIXELS]
        [--look-alikes SHARE]

Every split is a folder: `images/`, `instances.json` (COCO boxes), `captions.json` (COCO captions),
`scene_graphs.json` (Visual Genome layout: boxes and complete gold relations), `said.json` (what each
caption states), and `synonyms.json` (what captions call the classes). `detection-noisy` shows the images of
`detection` with boxes as a detector gives them (moved, missed, found twice, with scores); its gold is the
relations of the things that were found. The split `hoi` also has the files of
HICO-DET, V-COCO and Open Images, for training and test (`relforge.demo.world.benchmarks`).
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relforge import __version__
from relforge.demo.world.benchmarks import write_benchmarks
from relforge.demo.world.captions import write_stated
from relforge.demo.world.catalogue import CLASSES, list_synonyms
from relforge.demo.world.compose import LOOK_ALIKES_SHARE, draw_image
from relforge.demo.world.detector_boxes import FoundBox, detect

_NOISY = "-noisy"
"""End of the name of a split that shows the images of another with boxes as a detector gives them."""

SPLITS: dict[str, int] = {
    "vg-like": 2000,
    "caption": 3000,
    "detection": 300,
    "detection-noisy": 300,
    "hoi": 400,
}
"""Split -> number of images: gold for the R-Tagger, captions for BLIP, boxes to label, a benchmark."""

UNSEEN = ("petting", "throwing", "leaning against", "jumping over", "carrying")
"""Interactions that only the `hoi` split shows, so that it has verbs unseen in pre-training."""

_BENCHMARK = "hoi"
"""The split that is also written in the files of the field's benchmarks
(`relforge.demo.world.benchmarks`)."""

_LAYOUTS = {_BENCHMARK: 3}
_LAYOUT = 3
"""Of a split's folder; one written in another layout is written again."""


def write_split(
    folder: Path,
    name: str,
    count: int,
    seed: int = 0,
    size: int = 128,
    look_alikes: float = LOOK_ALIKES_SHARE,
) -> Path:
    """Draw and write one split; the same arguments give the same bytes, and are not drawn again.

    Args:
        folder: the split is written to `folder/name`.
        name: a key of `SPLITS`; each has images of its own, but for the noisy ones.
        count: number of images.
        size: longer side in pixels.
        look_alikes: see `compose.draw_image`.

    Returns:
        The split's folder.
    """
    out = folder / name
    settings = {"version": __version__, "layout": _LAYOUTS.get(name, _LAYOUT), "count": count}
    settings |= {"seed": seed, "size": size}
    if look_alikes:
        settings["look_alikes"] = look_alikes
    marker = out / "drawn.json"
    if marker.exists() and json.loads(marker.read_text()) == settings:
        return out
    marker.unlink(missing_ok=True)
    (out / "images").mkdir(parents=True, exist_ok=True)
    salt = zlib.crc32(name.removesuffix(_NOISY).encode())
    categories = {kind: number + 1 for number, kind in enumerate(CLASSES)}
    coco: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    coco["categories"] = [{"id": number, "name": kind} for kind, number in categories.items()]
    captions: dict[str, list[dict[str, object]]] = {"images": coco["images"], "annotations": []}
    graphs: list[dict[str, object]] = []
    said: list[dict[str, object]] = []
    for index in range(count):
        image_id = index + 1
        without = () if name == _BENCHMARK else UNSEEN
        drawn = draw_image(seed ^ salt, index, size, without, look_alikes)
        file_name = f"{image_id:06d}.jpg"
        drawn.image.save(out / "images" / file_name, quality=92)
        width, height = drawn.image.size
        coco["images"].append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        kinds = [thing.kind for thing in drawn.scene.things]
        order = np.arange(len(kinds))
        if look_alikes:  # they are drawn after what they look like; the list must not tell
            order = np.random.default_rng([seed ^ salt, index, 3]).permutation(order)
        found = [FoundBox(place, drawn.boxes[thing]) for place, thing in enumerate(order)]
        if name.endswith(_NOISY):
            detector = np.random.default_rng([seed ^ salt, index, 2])
            found = detect([one.box for one in found], (width, height), detector)
        objects = []
        id_of: dict[int, int] = {}
        for place, (x, y, w, h), score in found:
            thing = int(order[place])
            number = len(coco["annotations"]) + 1
            id_of.setdefault(thing, number)
            row: dict[str, object] = {"id": number, "image_id": image_id}
            row["category_id"] = categories[kinds[thing]]
            row |= {"bbox": [x, y, w, h], "area": round(w * h, 1), "iscrowd": 0}
            coco["annotations"].append(row if score is None else row | {"score": score})
            objects.append({"object_id": number, "names": [kinds[thing]], "x": x, "y": y, "w": w, "h": h})
        relations = [
            {"relationship_id": image_id * 1000 + number, "predicate": predicate}
            | {"subject_id": id_of[subject], "object_id": id_of[object_]}
            for number, (subject, predicate, object_) in enumerate(drawn.facts)
            if subject in id_of and object_ in id_of
        ]
        graphs.append(
            {
                "image_id": image_id,
                "width": width,
                "height": height,
                "objects": objects,
                "relationships": relations,
            }
        )
        caption_rng = np.random.default_rng([seed ^ salt, index, 1])
        for text, facts in write_stated(drawn.scene, drawn.facts, caption_rng):
            number = len(captions["annotations"]) + 1
            said.append({"id": number, "image_id": image_id})
            said[-1]["facts"] = [[kinds[subject], verb, kinds[object_]] for subject, verb, object_ in facts]
            captions["annotations"].append({"id": number, "image_id": image_id, "caption": text})
    for file, data in (("instances", coco), ("captions", captions), ("said", said), ("scene_graphs", graphs)):
        (out / f"{file}.json").write_text(json.dumps(data, separators=(",", ":")))
    (out / "synonyms.json").write_text(json.dumps(list_synonyms(), indent=1))
    if name == _BENCHMARK:
        write_benchmarks(out)
    marker.write_text(json.dumps(settings))
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--split", nargs="*", default=[f"{k}={v}" for k, v in SPLITS.items()], metavar="NAME=COUNT"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--look-alikes", type=float, default=LOOK_ALIKES_SHARE)
    args = parser.parse_args(arguments)
    for entry in args.split:
        name, _, count = entry.partition("=")
        if name not in SPLITS:
            parser.error(f"--split: {name!r} is not one of {', '.join(SPLITS)}")
        print(write_split(args.out, name, int(count or SPLITS[name]), args.seed, args.size, args.look_alikes))


if __name__ == "__main__":
    main()
