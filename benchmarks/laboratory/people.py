"""Human-object interactions of the drawn world, after HICO-DET: subjects are people, spatial relations are
left out, and boxes and classes have to be found."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laboratory.labels import candidates, run_folder, scores, selected
from laboratory.world import Tables, World
from relforge.data.sources import load_relations
from relforge.demo.world.dataset import UNSEEN
from relforge.demo.world.interactions import SPATIAL
from relforge.evaluation.annotated import PERSON, of_relations
from relforge.evaluation.detect import DetectOptions, detect
from relforge.evaluation.evaluator import Result
from relforge.evaluation.hico import HicoEvaluator, HicoGold
from relforge.models.checkpoint import Loaded
from relforge.models.zoo import family

TAGGER = Path(__file__).resolve().parents[2] / "demo" / "weights" / "rtagger"


def interactions(world: World, split: str) -> Path:
    """A run folder of a split with `images`, `boxes` and the `gold` of people."""
    folder = world.work / "people" / f"{split}-{len(world.tables(split)['images'])}"
    if not (folder / "gold").is_dir():
        tables = world.tables(split)
        for name in ("images", "boxes"):
            _write(folder, name, tables[name])
        _write(folder, "gold", _of_people(tables))
    return folder


def pseudo_labels(world: World) -> Path:
    """A run folder with relations, of any subject, that the shipped R-Tagger chose among the captions'."""
    name = f"shipped-{world.evaluated}"
    folder = world.work / "labelled" / name
    if not (folder / "relations").is_dir():
        tables = world.evaluated_tables()
        scored = scores(world, tables, candidates(world, tables), TAGGER)
        run_folder(world, tables, selected(tables, scored), name)
    return folder


def evaluate(loaded: Loaded, folder: Path, short_side: int, long_side: int) -> Result:
    """HICO-style average precision on a run folder of `interactions`, the frequency prior's beside it. Verbs
    that a model with closed labels was not trained on are not scored, so their average precision is 0."""
    data = load_relations([{"run": str(folder), "relations": "gold"}], keep_empty=True, max_pairs=10**6)
    gold = HicoGold(of_relations(data), data)
    verbs = sorted(set(gold.pairs.predicate.tolist()))
    scored = verbs
    if family(loaded.blueprint.kind).labels == "closed":
        scored = [verb for verb in verbs if verb in loaded.blueprint.relations]
    options = DetectOptions(short_side=short_side, long_side=long_side)
    found = detect(loaded, data, scored, PERSON, options)
    unseen = [verb for verb in UNSEEN if verb in verbs]
    return HicoEvaluator(annotations=str(folder), protocol="plain", unseen=unseen).measure(found, gold)


def _of_people(tables: Tables) -> pa.Table:
    gold, boxes = tables["gold"], tables["boxes"]
    people = {
        (image, box)
        for image, box, category in zip(
            boxes["image_id"].to_pylist(),
            boxes["box_id"].to_pylist(),
            boxes["category"].to_pylist(),
            strict=True,
        )
        if category == PERSON
    }
    subjects = zip(gold["image_id"].to_pylist(), gold["subject_box"].to_pylist(), strict=True)
    kept = pa.array([subject in people for subject in subjects])
    return gold.filter(pc.and_(kept, pc.invert(pc.is_in(gold["predicate"], pa.array(SPATIAL)))))


def _write(folder: Path, name: str, table: pa.Table) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name / "part-00000.parquet")
