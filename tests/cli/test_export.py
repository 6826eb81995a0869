"""export: a finished run in another format."""

from __future__ import annotations

import json

import pytest


def test_counts_are_those_of_the_run(relforge, finished) -> None:
    said = relforge("export", finished, "--to", "rlipv2", "--json")

    written = json.loads((finished / "export" / "rlipv2.json").read_text())
    assert said.code == 0
    assert said.json["relations"] == sum(len(image["relationships"]) for image in written) == 7
    assert relforge("inspect", finished, "--json").json["relations"] == 7


@pytest.mark.parametrize("to", ["coco", "hico", "label-studio", "open-images", "parquet", "vg"])
def test_every_format_is_written_to_a_path_of_its_own(relforge, finished, to) -> None:
    said = relforge("export", finished, "--to", to)

    assert said.code == 0, said.err
    assert (finished / "export").joinpath(to).exists() or (finished / "export" / f"{to}.json").exists()


def test_min_score_leaves_out_lower_ones(relforge, finished) -> None:
    (finished / "_state" / "relations" / "part-00000.json").unlink()

    every = relforge("export", finished, "--to", "rlipv2", "--partial", "--json")
    none = relforge("export", finished, "--to", "rlipv2", "--partial", "--min-score", "1", "--json")

    assert every.json["relations"] == none.json["relations"] == 4  # the rule scores everything 1


def test_an_unfinished_run_is_refused_without_partial(relforge, finished) -> None:
    (finished / "_state" / "relations" / "part-00000.json").unlink()

    said = relforge("export", finished, "--to", "rlipv2")

    assert said.code == 2
    assert "--partial" in said.err
    assert not (finished / "export").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--to", "voc"], "choose one of"),
        (["--to", "rlipv2", "colour=red"], "has no option colour"),
        (["--to", "rlipv2", "colour"], "key=value"),
        ([], "--to"),
    ],
)
def test_a_wrong_format_or_option_names_the_choices(relforge, finished, arguments, hint) -> None:
    said = relforge("export", finished, *arguments)

    assert said.code == 64
    assert hint in said.err


def test_a_path_that_cannot_be_written_exits_3(relforge, finished) -> None:
    said = relforge("export", finished, "--to", "rlipv2", "--out", "/proc/nowhere/x.json")

    assert said.code == 3
    assert "cannot be written" in said.err


def test_an_export_that_leaves_out_everything_says_so(relforge, finished) -> None:
    said = relforge("export", finished, "--to", "hico", "subject=zebra")

    assert said.code == 0, said.err
    assert "warning: the export has no relation: 7 are left out by the format or its options" in said.out


def test_an_option_without_a_value_is_one_sentence(relforge, finished) -> None:
    said = relforge("export", finished, "--to", "hico", "subject=")

    assert said.code == 64
    assert said.err == "relforge: 'subject=': an option of the format is written key=value\n"


def test_a_condition_chooses_the_relations_that_are_written(relforge, finished) -> None:
    condition = "object = 'thing#1' AND image_id IN (SELECT image_id FROM captions WHERE text LIKE '%00007%')"

    said = relforge("export", finished, "--to", "rlipv2", "--where", condition, "--json")

    written = json.loads((finished / "export" / "rlipv2.json").read_text())
    assert said.json["relations"] == 1
    assert [str(image["image_id"]) for image in written if image["relationships"]] == ["00007"]


def test_a_condition_that_holds_for_nothing_is_said(relforge, finished) -> None:
    said = relforge("export", finished, "--to", "rlipv2", "--where", "score > 2")

    assert "the export has no relation" in said.out
    assert "where 'score > 2' holds" in said.out


@pytest.mark.parametrize(
    "verb", [["export", "--to", "rlipv2"], ["view"], ["inspect", "--table", "relations"]]
)
@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("true -- x", "contains a comment"),
        ("true; COPY (SELECT 1) TO 'written.csv'; SELECT 1", "cannot be read"),
        ("image_id IN (SELECT content FROM read_text('/etc/passwd'))", "calls a table function"),
        ("image_id IN (SELECT * FROM '/etc/passwd')", "none of"),
        ("colour = 'red'", "colour"),
        ("  ", "the condition is empty"),
    ],
)
def test_every_condition_is_an_expression_over_the_tables_of_the_run(
    relforge, finished, tmp_path, monkeypatch, verb: list[str], condition: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)

    said = relforge(verb[0], finished, *verb[1:], "--where", condition)

    assert said.code == 64
    assert sentence in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "written.csv").exists()
    assert not (finished / "export").exists()
    assert not (finished / "view.html").exists()
