"""docs/formats.md lists what the code has, and nothing else: formats, options, fields, tables, columns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relforge.pipeline.config.resolve import SWITCHES
from relforge.pipeline.config.schema import Config, Dataset, Resources, Run, StageChoice
from relforge.stages.contract import neutral_options
from relforge.stages.export.targets import TARGETS
from relforge.stages.ingest.faults import BOX_REASONS, IMAGE_REASONS
from relforge.stages.registry import BACKENDS, SOURCES
from relforge.stages.tables import SCHEMAS, TABLES

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
CHOICES = [(stage, name) for stage, backends in BACKENDS.items() for name in backends]
FROM_THE_DATASET = {
    "dataset",
    "split",
    "orientation",
    "max_pixels",
    "candidates",
    "run_folder",
    "workers",
    "known_pairs",
    "said",
}
"""Options that are written once, in the config's section `dataset` or `run`, or follow from its stages."""
ROLES = ("subject", "predicate", "object")


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"docs/formats.md has no section {title!r}"
    return found[1]


def table(title: str, header: str) -> dict[str, str]:
    """The table of a section whose first column is `header`: code words of that column -> rest of the row."""
    rows: dict[str, str] = {}
    listing = False
    for line in section(title).splitlines():
        first, _, rest = line.removeprefix("|").partition("|")
        if not line.startswith("|"):
            listing = False
        elif first.strip() == header:
            listing = True
        elif listing:
            rows |= dict.fromkeys(re.findall(r"`([^`]*)`", first), rest)
    assert rows, f"section {title!r} has no table of {header!r}"
    return rows


def code_words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]*)`", text))


def options(target: Callable[..., Any]) -> set[str]:
    """Names of what a config can set: functions are for code."""
    declared = inspect.signature(target).parameters.values()
    return {one.name for one in declared if "Callable" not in str(one.annotation)} - FROM_THE_DATASET


def test_every_dataset_format_is_listed() -> None:
    assert set(table("Datasets that ingest reads", "format")) == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_every_option_of_a_dataset_format_is_listed(name: str) -> None:
    taken = options(SOURCES.load(name))
    file_names = {"zhiyuan_objv2_{train,val}.json", "scene_graphs.json", "<split>/patchN/"}

    assert code_words(table("Datasets that ingest reads", "format")[name]) - file_names == taken


def test_every_reason_of_quarantine_is_listed_and_every_listed_one_exists() -> None:
    listed = code_words(section("Reasons"))
    sources = "".join(
        path.read_text(encoding="utf-8")
        for room in ("stages", "images")
        for path in (ROOT / room).rglob("*.py")
    )

    assert set(BOX_REASONS) | set(IMAGE_REASONS) <= listed
    assert [reason for reason in listed if f'"{reason}"' not in sources] == []


def test_every_export_format_and_its_options_are_listed() -> None:
    listed = table("Exports", "format")

    assert set(listed) == set(TARGETS)
    for name in TARGETS:
        taken = set(inspect.signature(TARGETS.load(name)).parameters) - {"tables", "path"}
        assert set(re.findall(r"option `(\w+)`", listed[name])) == taken, name


def test_every_config_field_is_listed() -> None:
    listed = table("Configs", "field")

    fields = {f"dataset.{name}" for name in Dataset.model_fields}
    fields |= {f"run.{name}" for name in Run.model_fields}
    fields |= {f"stages.<stage>.{name}" for name in StageChoice.model_fields}
    assert set(listed) == fields
    assert set(Config.model_fields) == {"dataset", "run", "stages"}
    assert set(Resources.model_fields) <= code_words(listed["stages.<stage>.resources"])


@pytest.mark.parametrize("name", [name for name, field in Run.model_fields.items() if field.default])
def test_the_default_of_a_run_field_is_the_listed_one(name: str) -> None:
    default = Run.model_fields[name].default
    if name not in ("folder", "profile", "seed"):
        shown = f"`{default}`" if isinstance(default, str) else f"({default:g})"
        assert shown in table("Configs", "field")[f"run.{name}"]


def test_every_switch_of_a_profile_is_listed_with_its_values() -> None:
    listed = table("Configs", "option")
    switches = {
        f"{stage}.{option}": values for stage, of in SWITCHES.items() for option, values in of.items()
    }

    assert set(listed) == set(switches)
    for option, values in switches.items():
        cells = [cell.strip(" `") for cell in listed[option].strip("| ").split("|")]
        assert cells == [str(value).lower() if isinstance(value, bool) else value for value in values]


def test_every_backend_is_listed() -> None:
    assert set(table("Stage options", "backend")) == {f"{stage}.{name}" for stage, name in CHOICES}


@pytest.mark.parametrize(("stage", "name"), CHOICES)
def test_every_option_of_a_backend_is_listed_as_needed_other_or_neutral(stage: str, name: str) -> None:
    cells = table("Stage options", "backend")[f"{stage}.{name}"].rstrip().removesuffix("|").split("|")
    needed, other, neutral = (code_words(cell) for cell in cells)
    backend = BACKENDS[stage].load(name)
    parameters = inspect.signature(backend).parameters
    built = backend(**{one: ["x"] if one == "files" else "x" for one in needed})

    assert needed == {one for one in parameters if parameters[one].default is inspect.Parameter.empty}
    assert needed | other | neutral == set(parameters) - {"seed"} - FROM_THE_DATASET
    assert neutral == set(neutral_options(built)) - FROM_THE_DATASET


def test_every_stage_is_listed() -> None:
    named = re.search(r"^Stages are (.*?);", section("Configs"), re.MULTILINE)

    assert named
    assert code_words(named[1]) == set(BACKENDS)


def test_every_table_is_listed_with_its_columns() -> None:
    listed = table("Tables", "table")
    described: set[str] = set()

    assert list(listed) == list(SCHEMAS)
    for name, schema in SCHEMAS.items():
        words = {word.replace("<role>", role) for word in code_words(listed[name]) for role in ROLES}
        words = words | described if "the same" in listed[name] else words
        described = words
        of_images = {"image_id"} if TABLES[name].per_image else set()
        assert words | of_images == set(schema.names), name
