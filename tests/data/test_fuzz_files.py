"""Whatever a benchmark's file holds: one sentence that names it, or what can be used. Never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relforge.data import vcoco as vcoco_gold
from relforge.data.formats import hico, hico_instances, open_images, vcoco
from relforge.data.hoi import HoiData
from relforge.data.hoi_relations import relations_of
from relforge.data.vocabulary import write_vocabulary
from relforge.evaluation.annotated import of_hoi
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.predictions.registry import READERS, convert_detections
from relforge.stages.ingest.image_files import ImageFiles
from tests.data.test_convert import of_hico, of_vcoco
from tests.fixtures.mutations import mutate_file

pytestmark = pytest.mark.slow

CASES = 10
TRIES = int(os.environ.get("RELFORGE_FUZZ", "300")) // CASES
fuzzed = settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """File name -> content, of every format."""
    folder = tmp_path_factory.mktemp("files")
    hico.write(of_hico(), folder / "list.json")
    hico_instances.write(of_hico(), folder / "instances.json")
    write_vocabulary(hico.vocabulary_of([of_hico()]), folder)
    vcoco.write(of_vcoco(), folder / "vcoco")
    vcoco.write_list_file(of_vcoco(), folder / "vcoco.json")
    open_images.write_folder(of_hico(), folder / "oi")
    names, box = np.array(["a", "b"], object), np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    persons, verbs = np.array(["person", "person"], object), np.array(["ride", "walk"], object)
    pairs = Pairs(names, persons, verbs, np.array(["horse", "dog"], object), box, box, np.array([0.5, 0.25]))
    write_detections(pairs, folder / "found.parquet")
    for name, target in (("found.json", "detections_json"), ("qpic.json", "detections_qpic")):
        convert_detections("detections", str(folder / "found.parquet"), target, str(folder / name), {})
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OFFICIAL = "instances_vcoco_all_2014.json"
CATEGORIES = "OI_SGG_trainval_test_categories_dict.json"
READ: dict[str, Callable[[Callable[[str], str]], Any]] = {
    "list.json": lambda at: hico.read(at("list.json")),
    "corre_hico.json": lambda at: hico.read(at("list.json"), at("corre_hico.json")),
    "instances.json": lambda at: hico.read(at("instances.json")),
    "vcoco.json": lambda at: vcoco.read(at("vcoco.json")),
    "vcoco_test.json": lambda at: vcoco.read(at("vcoco_test.json"), at(OFFICIAL)),
    OFFICIAL: lambda at: vcoco.read(at("vcoco_test.json"), at(OFFICIAL)),
    "OI_SGG_test.json": lambda at: open_images.read(at("OI_SGG_test.json"), at(CATEGORIES)),
    CATEGORIES: lambda at: open_images.read(at("OI_SGG_test.json"), at(CATEGORIES)),
    "found.json": lambda at: READERS.load("detections_json")(at("found.json")),
    "qpic.json": lambda at: READERS.load("detections_qpic")(at("qpic.json")),
}
assert len(READ) == CASES


@pytest.mark.parametrize("name", READ)
@fuzzed
@given(data=st.data())
def test_a_mutated_file(name: str, files: dict[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    for other, content in files.items():
        (tmp_path / other).write_bytes(content)
    mutate_file(data, tmp_path / name)
    try:
        found = READ[name](lambda other: str(tmp_path / other))
        if name in ("vcoco_test.json", OFFICIAL):
            vcoco_gold.read_vcoco(str(tmp_path / "vcoco_test.json"), str(tmp_path / OFFICIAL))
    except (ValueError, OSError) as error:
        sentence = str(error)
        assert "\n" not in sentence
        assert any(other in sentence for other in (*files, "oidv6")), sentence
        return
    if isinstance(found, HoiData):
        of_hoi(found, subject=None)
        training = relations_of(found, ImageFiles(None), max_pairs=50)
        assert len(training.relations) <= sum(len(image.interactions) for image in found.images)
