"""`relforge diff`: two runs compared."""

from __future__ import annotations


def test_diff_shows_the_option_and_the_relations_it_moved(relforge, config, finished, tmp_path) -> None:
    other = tmp_path / "other"
    relforge("run", config, "--executor", "loop", f"run.folder={other}", "stages.caption.dropped=[1]")

    said = relforge("diff", finished, other, "--json").json

    assert said["config"]["stages.caption.options.dropped"] == [None, [1]]
    assert said["relations"] == {
        "in A": 7, "in B": 6, "unchanged": 6, "added": 0, "removed": 1, "rescored": 0
    }  # fmt: skip
    assert said["examples"]["removed"][0]["image_id"] == "00001"
    assert relforge("diff", finished, finished).out.startswith("config: the same")
