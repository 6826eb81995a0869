"""A HICO-DET of full size from files to a report: what a user waits for.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/hico_files.py [FOLDER] [--images SHARE] [--json]

Draws `trainval_hico.json` (38,118 images, 117,871 rows), `test_hico.json` (9,658 images, 33,405 rows) and 100
detections an image into FOLDER, once, and then runs `relforge eval hico` and `relforge report` on them, each
as a process of its own. Seconds are CPU seconds of that process with start and imports; drawing is not
counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from evaluators import draw
from report import emit

from relforge.data import hico
from relforge.data.formats import hico as hico_format
from relforge.data.hoi import HoiData, HoiImage
from relforge.evaluation.annotated import Annotated
from relforge.evaluation.detection_table import write_detections

KINDS = [("person", verb, name) for verb, name in hico.interactions()]
SIZE = (640, 480)
SPLITS = {"trainval_hico.json": (38118, 117871, 1), "test_hico.json": (9658, 33405, 0)}
"""File -> images, rows, seed."""


def main() -> None:
    """Draw where needed, run the commands, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=float, default=1.0, help="share of the images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        files = write_files(folder, options.images)
        found = str(folder / "detections.parquet")
        named = [f"annotations={files['test_hico.json']}", f"training={files['trainval_hico.json']}"]
        rows = [
            run("read and evaluated", ["eval", "hico", found, *named, "--json"]),
            run("read, evaluated and reported", ["report", found, *named, "--json"]),
        ]
    emit(rows, options.json, "HICO-DET of full size, from files")


def write_files(folder: Path, share: float) -> dict[str, Path]:
    """Draw what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in SPLITS}
    if all(path.exists() for path in (*paths.values(), folder / "detections.parquet")):
        return paths
    for name, (images, rows, seed) in SPLITS.items():
        gold, found = draw(int(images * share), int(rows * share), KINDS, np.random.default_rng(seed))
        hico_format.write(as_images(gold), paths[name])
        if name == "test_hico.json":
            write_detections(found, folder / "detections.parquet")
    return paths


def as_images(gold: Annotated) -> HoiData:
    """Drawn pairs as annotated images: two boxes for every row."""
    verbs, objects = (
        {name: code for code, name in enumerate(names)} for names in (hico.verbs(), hico.objects())
    )
    of_image: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(gold.pairs.image.tolist()):
        of_image[name].append(row)
    images = []
    for name in gold.images:
        rows = np.array(of_image[name], int)
        pairs = gold.pairs.take(rows)
        count = len(rows)
        ends = np.concatenate([pairs.subject_box, pairs.object_box])
        classes = [objects["person"]] * count + [objects[one] for one in pairs.object]
        interactions = [(k, count + k, verbs[one]) for k, one in enumerate(pairs.predicate)]
        table = np.array(interactions, int).reshape(-1, 3)
        images.append(HoiImage(f"{name}.jpg", ends, np.array(classes, int), table, SIZE))
    return HoiData(images, hico.objects(), hico.verbs())


def run(case: str, arguments: list[str]) -> dict[str, Any]:
    """Run one command of relforge; its CPU and wall-clock seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "relforge", *arguments], capture_output=True, text=True, check=True
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(done.stdout)
    mean = result["measures"]["mean_average_precision"]["value"]
    return {
        "case": case,
        "cpu": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "wall": round(wall, 2),
        "peak GiB": round(after.ru_maxrss / 2**20, 2),
        "note": f"{result['counts']['detections']:,} detections, mAP {mean:.4f}",
    }


if __name__ == "__main__":
    main()
