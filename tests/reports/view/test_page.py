"""Which images the page shows, and what it states about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import relforge.reports.view
from relforge.pipeline.run.execute import run
from relforge.reports.view.choose import choose
from relforge.reports.view.page import gather
from tests.fixtures.tiny import tiny_job

IDS = [str(number) for number in range(1, 101)]


def test_the_same_images_are_drawn_whatever_order_they_come_in() -> None:
    assert choose(IDS, IDS, 10) == choose(IDS[::-1], IDS, 10)


def test_a_larger_sample_contains_the_smaller_one() -> None:
    assert set(choose(IDS, IDS, 10)) < set(choose(IDS, IDS, 20))


def test_images_with_nothing_to_show_come_last() -> None:
    chosen = choose(IDS, {"7", "90"}, 3)

    assert {"7", "90"} < set(chosen)


def test_numbers_are_in_order_of_value_and_before_words() -> None:
    assert choose(["10", "b", "9", "²"], (), 4) == ["9", "10", "b", "²"]


def test_the_words_that_a_candidate_came_from_are_marked(tmp_path: Path, source: Callable[..., Path]) -> None:
    run(tiny_job(tmp_path / "run", source(images=1)), executor="loop")

    (image,) = gather(str(tmp_path / "run"))["images"]

    ((caption, text),) = image["captions"]
    ((number, marks),) = image["relations"][0]["evidence"]
    assert number == caption
    assert [(text[start:end], role) for start, end, role in marks] == [
        ("caption", "subject"),
        ("of", "predicate"),
        (image["id"], "object"),
    ]


def test_the_page_reads_evidence_and_never_matches_again() -> None:
    sources = [
        path.read_text(encoding="utf-8") for path in Path(relforge.reports.view.__file__).parent.rglob("*.py")
    ]

    assert sources
    assert not any("relforge.stages.match" in source for source in sources)
