"""The module `sng_parser` has two claimants; only one parses scene graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.stages.parse.sng_package import SceneGraphParserMissing, check_distribution


def test_accepts_the_scene_graph_parser() -> None:
    check_distribution()


def test_refuses_the_distribution_that_only_shares_the_module_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sng_parser-1.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sng-parser\nVersion: 1.3.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(SceneGraphParserMissing, match=r"'sng-parser' 1\.3\.0 .*pip uninstall -y sng-parser"):
        check_distribution()
