"""A config becomes a job, or one sentence that names what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from relforge.pipeline.config import ConfigError, Source, check, check_files, read, resolve
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import make_plan


def values(**stages: dict[str, Any]) -> dict[str, Any]:
    """The tiny job of tests/pipeline as a config."""
    return {
        "dataset": {"name": "tiny", "split": "train", "format": "tiny:TinySource", "path": "source.json"},
        "run": {"folder": "run"},
        "stages": {"caption": {"backend": "tiny:TinyCaption"}, **stages},
    }


def job(given: dict[str, Any]) -> Job:
    source = Source("tiny.yaml", given, {"dataset.path": "TINY"})
    return resolve(check(source), source)


def message(given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        job(given)
    return str(error.value)


def test_every_section_reaches_the_job() -> None:
    given = values(parse={"backend": "tiny:TinyParse", "shout": True, "resources": {"num_cpus": 0.5}})
    given["run"] |= {"shard_images": 7, "seed": 3, "quarantine_limit": 0.1}

    made = job(given)

    assert (made.dataset, made.folder, made.shard_images, made.seed) == ("tiny", "run", 7, 3)
    assert made.limits.quarantine_rate == 0.1
    assert made.source.options["path"] == "source.json"
    assert [stage.name for stage in made.stages] == ["caption", "parse"]
    assert made.stage("parse").options["shout"] is True
    assert made.stage("parse").resources.num_cpus == 0.5


@pytest.mark.parametrize("kind", ["images", "boxes", "captions"])
def test_each_kind_of_loss_has_its_own_limit(kind: str) -> None:
    given = values()
    given["run"] |= {"quarantine_limit": 0.1, f"lost_{kind}_limit": 0.25}

    limits = job(given).limits

    found = {one: limits.lost_rate(one) for one in ("images", "boxes", "captions", "relations")}
    assert found == dict.fromkeys(found, 0.1) | {kind: 0.25}


def test_a_limit_of_images_is_part_of_the_fingerprint_with_the_seed_that_draws_them(tmp_path) -> None:
    source = tmp_path / "source.json"
    source.write_text('{"images": 10}')

    def key(seed: int, **dataset: object) -> str:
        given = values()
        given["dataset"] |= {"path": str(source), **dataset}
        given["run"]["seed"] = seed
        return make_plan(job(given)).ingest.key

    assert len({key(0), key(0, limit=3), key(1, limit=3), key(0, limit="30%")}) == 4
    assert key(0) == key(1)
    given = values() | {"dataset": {**values()["dataset"], "limit": "30%"}}
    assert Job.from_dict(job(given).to_dict()).source.limit == "30%"


def test_an_impossible_limit_is_refused() -> None:
    given = values()
    given["dataset"]["limit"] = "many"

    assert message(given) == (
        "tiny.yaml: dataset.limit: limit is 'many'; "
        "give a number of images, such as 100, or a share, such as 1%"
    )


def test_memory_is_written_with_its_unit() -> None:
    given = values()
    given["stages"]["caption"]["resources"] = {"memory": "2GiB"}

    assert job(given).stage("caption").resources.memory == 2 * 1024**3


@pytest.mark.parametrize(
    ("section", "wrong", "right"), [("run", "shard_image", "shard_images"), ("dataset", "pth", "path")]
)
def test_an_unknown_key_names_file_field_and_nearest_key(section, wrong, right) -> None:
    given = values()
    given[section][wrong] = 1

    assert message(given) == f"tiny.yaml: {section}.{wrong}: unknown key {wrong!r}; did you mean {right!r}?"


def test_an_unknown_option_of_a_backend_names_the_nearest_one() -> None:
    given = values(parse={"backend": "tiny:TinyParse", "shuot": True})

    assert message(given) == "tiny.yaml: stages.parse.shuot: unknown key 'shuot'; did you mean 'shout'?"


def test_an_unknown_resource_is_found_inside_its_stage() -> None:
    given = values()
    given["stages"]["caption"]["resources"] = {"num_cpu": 1}

    assert message(given).startswith("tiny.yaml: stages.caption.resources.num_cpu: unknown key")


def test_an_unknown_backend_names_the_choices() -> None:
    given = values(parse={"backend": "sng_parse"})

    assert "stages.parse.backend: unknown parse backend 'sng_parse'; did you mean 'sng_parser'?" in message(
        given
    )


def test_a_backend_that_cannot_be_imported_says_which_package_is_absent() -> None:
    given = values(parse={"backend": "no_such_package.parser:Parser"})

    assert "needs the Python package 'no_such_package', which is not installed" in message(given)


def test_a_missing_option_says_how_to_give_it() -> None:
    given = values()
    del given["dataset"]["path"]

    assert message(given) == "tiny.yaml: dataset.path: missing; set TINY or pass dataset.path=..."


@pytest.mark.parametrize("written", [1, {}, {"backend": "blip"}])
def test_an_unknown_stage_without_code_of_its_own_names_the_nearest_one(written) -> None:
    assert message(values(captoin=written)) == (
        "tiny.yaml: stages.captoin: unknown stage 'captoin'; did you mean 'caption'? "
        "choose one of caption, ground, image_labels, image_support, match, parse, propose, relabel, select, "
        "similarity, tag, or give package.module:Name as its backend"
    )


def test_a_stage_whose_table_nobody_writes_is_refused() -> None:
    given = values(match={"backend": "tiny:TinyMatch"})

    assert message(given) == (
        "tiny.yaml: stages: stage 'match' reads table 'triplets', which no stage of this run writes; add one"
    )


def test_stages_are_ordered_by_their_tables_however_the_config_lists_them() -> None:
    given = values()
    given["stages"] = {"parse": {"backend": "tiny:TinyParse"}, **given["stages"]}

    assert [stage.name for stage in job(given).stages] == ["caption", "parse"]


def test_a_file_that_is_not_there_says_what_sets_its_path() -> None:
    source = Source("tiny.yaml", values(), {"dataset.path": "TINY"})
    made = resolve(check(source), source)

    with pytest.raises(ConfigError) as error:
        check_files(made, source)

    assert str(error.value) == (
        "tiny.yaml: dataset.path: no such file or folder: source.json; set TINY or pass dataset.path=..."
    )


def test_the_profile_sets_the_switches_and_an_option_in_the_config_wins() -> None:
    chain = {
        "parse": {"backend": "sng_parser"},
        "match": {"backend": "synonyms"},
        "tag": {"backend": "rule"},
        "select": {"backend": "select"},
    }
    fixed, compat, mixed = values(**chain), values(**chain), values(**chain)
    compat["run"]["profile"] = mixed["run"]["profile"] = "compat"
    mixed["stages"]["match"] = {"backend": "synonyms", "method": "boundary"}

    assert job(fixed).stage("match").options["method"] == "boundary"
    assert job(compat).stage("match").options["method"] == "substring"
    assert job(mixed).stage("match").options["method"] == "boundary"
    assert job(compat).stage("select").options["deduplicate"] == "none"
    assert job(compat).config["stages"]["select"]["deduplicate"] == "none"  # as run.json records it


def test_taggers_read_what_ground_leaves_and_the_published_profile_has_no_such_stage() -> None:
    chain = {
        "parse": {"backend": "relforge"},
        "match": {"backend": "synonyms"},
        "ground": {"backend": "nearest"},
        "tag": {"backend": "rule"},
        "select": {"backend": "select"},
    }
    fixed, compat = values(**chain), values(**chain)
    compat["run"]["profile"] = "compat"

    assert job(fixed).build_stage("tag").inputs[0] == "grounded"
    assert [one.name for one in job(fixed).stages][-3:] == ["ground", "tag", "select"]
    assert job(compat).build_stage("tag").inputs[0] == "candidates"
    assert "ground" not in [one.name for one in job(compat).stages]
    assert "ground" not in job(compat).config["stages"]


@pytest.mark.parametrize(
    ("stages", "read"),
    [
        (("match",), ("images", "boxes", "candidates")),
        (("match", "ground"), ("images", "boxes", "grounded", "candidates")),
        ((), ("images", "boxes")),
    ],
)
def test_proposals_come_after_what_captions_say_and_taggers_read_both(stages, read) -> None:
    chain = {
        "parse": {"backend": "relforge"},
        "match": {"backend": "synonyms"},
        "ground": {"backend": "nearest"},
    }
    kept = {"parse": chain["parse"], **{name: chain[name] for name in stages}} if stages else {}
    given = values(
        **kept,
        propose={"backend": "prior", "model": "proposals.safetensors"},
        tag={"backend": "rule"},
        select={"backend": "select"},
    )
    if not stages:
        del given["stages"]["caption"]

    found = job(given)

    assert [one.name for one in found.stages][-3:] == ["propose", "tag", "select"]
    assert found.build_stage("propose").inputs == read
    assert found.build_stage("tag").inputs[0] == "proposed"


def test_the_run_seed_and_dataset_reach_a_backend_that_takes_them(tmp_path, monkeypatch) -> None:
    (tmp_path / "taking.py").write_text(
        "from tiny import TinyCaption\n"
        "class Taking(TinyCaption):\n"
        "    def __init__(self, seed, dataset, word='x'): super().__init__(f'{word}{seed}{dataset}')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    given = values()
    given["run"]["seed"] = 5
    given["stages"]["caption"] = {"backend": "taking:Taking"}

    assert job(given).stage("caption").options == {"seed": 5, "dataset": "tiny"}


@pytest.mark.parametrize("name", ["coco", "coco_sample", "objects365", "openimages", "visual_genome"])
def test_every_packaged_config_resolves(name, tmp_path) -> None:
    roots = ("COCO_ROOT", "OBJECTS365_ROOT", "OPENIMAGES_ROOT", "VG_ROOT", "RTAGGER")
    files = ("COCO_ANNOTATIONS", "COCO_CAPTIONS", "VG_CAPTIONS")
    environment = {variable: str(tmp_path / variable) for variable in (*roots, *files)}

    source = read(name, environment=environment)

    assert [stage.name for stage in resolve(check(source), source).stages][-1] == "select"
