"""Configs that come with relforge: which give a prior to claims, and which have a reason not to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from relforge.demo.job import write_job
from relforge.pipeline.config import Source, check, resolve
from relforge.pipeline.config.source import PACKAGED

CONFIGS = sorted(PACKAGED.glob("*.yaml"))
WITHOUT = {
    "hico_hts.yaml": "labels of whole images",
    "world_round_two.yaml": "relabel proposes pairs itself",
}
"""Config -> why it has no stage `ground`; the file says so too."""


def values_of(path: Path) -> dict[str, object]:
    values: dict[str, object] = yaml.safe_load(path.read_text())
    return values


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_claim_is_given_to_boxes_by_the_learned_prior(path: Path) -> None:
    stages = values_of(path)["stages"]
    assert isinstance(stages, dict)
    if path.name in WITHOUT:
        assert "ground" not in stages
        assert "# no ground: " in path.read_text()
    else:
        assert stages["ground"]["backend"] == "learned"


def test_so_does_the_demo(tmp_path: Path) -> None:
    stages = values_of(write_job(tmp_path, 1))["stages"]
    assert isinstance(stages, dict)
    assert stages["ground"]["backend"] == "learned"
    assert stages["select"]["quality"] == "learned"


@pytest.mark.parametrize("profile", ["fixed", "compat"])
def test_the_published_profile_goes_without(profile: str, tmp_path: Path) -> None:
    values = values_of(write_job(tmp_path, 1))
    run = values["run"]
    assert isinstance(run, dict)
    run["profile"] = profile
    source = Source("demo", values)

    names = [stage.name for stage in resolve(check(source), source).stages]

    assert ("ground" in names) == (profile == "fixed")
