"""`relforge view` of a labelled run, as folder and served, in a real browser: at three widths, by mouse, keys
and link."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relforge.cli.app import invoke
from relforge.reports.view.index import index_scenes
from relforge.reports.view.page import gather
from relforge.reports.view.run_view import RunView
from relforge.reports.view.serve import ViewServer
from tests.fixtures.labelled import label_world
from tests.stages.select.test_quality import write_model

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WIDTHS = {"phone": 375, "tablet": 768, "desktop": 1300}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label_world(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def strict(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images, fewer relations."""
    folder = tmp_path_factory.mktemp("strict") / "run"
    config = run.parent / "world.yaml"
    changed = [f"run.folder={folder}", "stages.select.top_k_image=2"]
    assert invoke(["run", str(config), *changed, "--executor", "loop"]) == 0
    return folder


@pytest.fixture(scope="module")
def learned(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images, relations chosen by a quality that is not the score."""
    root = tmp_path_factory.mktemp("learned")
    weights = write_model(root / "quality.json", support=-5.0)
    config = run.parent / "world.yaml"
    changed = [
        f"run.folder={root / 'run'}",
        "stages.select.quality=learned",
        f"stages.select.weights={weights}",
    ]
    assert invoke(["run", str(config), *changed, "--executor", "loop"]) == 0
    return root / "run"


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "page"
    assert invoke(["view", str(run), "--folder", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def driven() -> Iterator[Any]:
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(BENCHMARKS))
    browser = importlib.import_module("browser")
    if browser.find_browser() is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with browser.Browser() as page:
        yield page
    patch.undo()


@pytest.fixture
def page(driven: Any, folder: Path) -> Callable[..., Any]:
    """`page(fragment, width)` opens the folder's page once its first image is drawn."""

    def opened(fragment: str = "", width: int = 1300, height: int = 800, out: Path = folder) -> Any:
        driven.resize(width, height, mobile=width < 800)
        driven.open((out / "index.html").as_uri() + fragment)
        driven.wait("document.querySelector('.pane svg')")
        return driven

    return opened


def at(browser: Any) -> str:
    """The id of the image that is shown."""
    name: str = browser.run("document.getElementById('name').textContent")
    return name.removeprefix("image ")


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_image_fills_its_place_at_every_width(page: Callable[..., Any], width: int) -> None:
    browser = page("", width)
    browser.wait("document.querySelector('.pane image')")
    shown = browser.run(
        "(({width, height, left, right}) => ({width, height, left, right}))"
        "(document.querySelector('.pane svg').getBoundingClientRect())"
    )
    assert shown["width"] > 0.5 * min(width, 700)
    assert shown["height"] > 200
    assert shown["left"] >= 0
    assert shown["right"] <= width
    assert browser.run("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
    assert browser.run("document.querySelectorAll('#relations > li').length") > 0


def test_facts_and_images_are_read_when_they_are_shown(page: Callable[..., Any], folder: Path) -> None:
    files = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    assert [one for one in files if one.startswith("facts")] == ["facts/0.js", "facts/1.js", "facts/2.js"]
    assert sum(one.startswith("images") for one in files) == 12
    browser = page()
    assert browser.run("chunks.size") < 3
    assert browser.run("document.querySelector('.pane image').href.baseVal") == "images/0.jpg"
    browser.run("open(11)")
    browser.wait("scene.id === ids[11]")
    assert browser.run("document.querySelector('.pane image').href.baseVal") == "images/11.jpg"


def test_the_index_of_a_run_is_that_of_its_images(run: Path, strict: Path, learned: Path) -> None:
    for first, against in ((run, None), (run, str(strict)), (learned, None), (learned, str(strict))):
        quick, slow = (
            RunView(str(first), against).index(),
            index_scenes(gather(str(first), against=against)["images"]),
        )
        for index in (quick, slow):
            index["named"] = [index["kinds"][kind] for kind in index["kind"]]
        names = {*slow} - {"kinds", "kind"}
        assert {name: quick[name] for name in names} == {name: slow[name] for name in names}
        assert ("side" in quick) == (against is not None)


def test_where_the_learnt_quality_chose_the_page_shows_it_and_the_taggers_score_beside(
    learned: Path, tmp_path: Path, driven: Any
) -> None:
    assert invoke(["view", str(learned), "--out", str(tmp_path / "page.html")]) == 0
    driven.open((tmp_path / "page.html").as_uri())

    rows = pq.read_table(learned / "relations").to_pylist()
    kept = min(rows, key=lambda row: row["quality"])
    assert kept["score"] - kept["quality"] > 0.1
    assert driven.run("document.getElementById('min-score-label').textContent").startswith("quality ≥")
    driven.run(f"go(ids.indexOf('{kept['image_id']}') - state.at)")
    driven.wait(f"scene.id === '{kept['image_id']}'")
    said = driven.run("document.getElementById('relations').textContent")
    assert f"quality {kept['quality']:.2f}, tagger {kept['score']:.2f}" in said


def test_keys_lead_to_images_wrong_relations_and_help(page: Callable[..., Any]) -> None:
    browser = page()
    browser.press("j")
    browser.wait("scene.id === ids[1]")
    browser.press("w")
    browser.wait("shown[state.on]?.verdict === 'wrong'")
    before = browser.run("[state.at, state.on]")
    browser.press("w")
    browser.wait("shown[state.on]?.verdict === 'wrong'")
    assert browser.run("[state.at, state.on]") > before
    browser.press("b")
    hidden = "getComputedStyle(document.querySelector('svg .box:not(.on)')).display"
    assert browser.run(hidden) == "none"
    browser.press("b")
    assert browser.run(hidden) != "none"
    browser.press("?")
    assert browser.run("document.getElementById('help').open")
    assert "next wrong relation" in browser.run("document.getElementById('help').innerText")


def test_the_wheel_zooms_about_the_pointer_and_dragging_pans(page: Callable[..., Any]) -> None:
    browser = page()
    place = "(b => [b.x, b.y])(document.querySelector('.pane svg').getBoundingClientRect())"
    left, top = browser.run(place)
    scale = browser.run("Number(document.querySelector('.pane svg').dataset.scale)")
    x, y = left + 100, top + 80
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-700)
    browser.wait("zoom.by > 2")
    new_left, new_top = browser.run(place)
    by, ox, oy = browser.run("[zoom.by, zoom.x, zoom.y]")
    assert ox + (x - left) / (scale * by) == pytest.approx(100 / scale, abs=1)
    assert oy + (y - top) / (scale * by) == pytest.approx(80 / scale, abs=1)
    middle = (new_left + 200, new_top + 150)
    browser.mouse("mousePressed", *middle, button="left", clickCount=1)
    browser.mouse("mouseMoved", middle[0] - 60, middle[1], button="left")
    browser.mouse("mouseReleased", middle[0] - 60, middle[1], button="left", clickCount=1)
    assert browser.run("zoom.x") > ox
    browser.press("0")
    assert browser.run("[zoom.by, zoom.x]") == [1, 0]


def test_the_link_holds_filters_and_image_and_may_be_followed(page: Callable[..., Any], run: Path) -> None:
    browser = page()
    predicate = browser.run("index.kinds[index.kind[0]][1]")
    browser.run(f"$('predicate').value = {predicate!r}; $('predicate').dispatchEvent(new Event('change'))")
    browser.run("open(visible.at(-1))")
    browser.wait("scene.id === ids[state.at]")
    link, image, count = browser.run("[location.hash, ids[state.at], visible.length]")
    again = page(link)
    again.wait(f"scene.id === {image!r}")
    assert again.run("[state.predicate, $('predicate').value, visible.length]") == [
        predicate,
        predicate,
        count,
    ]
    again.run("location.hash = '#image=' + ids[0] + '&score=0.30&boxes=off&hide=right'")
    again.wait(
        "state.minScore === 0.3 && state.at === 0 || state.minScore === 0.3 && visible[0] === state.at"
    )
    assert again.run("[state.predicate, state.boxes, [...state.hidden]]") == ["", False, ["right"]]
    assert again.run("document.querySelector('[data-verdict=right]').getAttribute('aria-pressed')") == "false"


def test_search_order_and_score_choose_and_rank_the_images(page: Callable[..., Any]) -> None:
    browser = page()
    _, predicate, object_ = browser.run("index.kinds[index.kind[0]]")
    browser.run(f"state.query = {(object_ + ' ' + predicate).upper()!r}; refilter()")
    named = browser.run("visible.flatMap(i => listed(i).map(r => index.kinds[index.kind[r]].join(' ')))")
    assert named
    assert all(object_ in one and predicate in one for one in named)
    browser.run("$('reset').click(); state.query = ids[4]; refilter()")
    assert browser.run("visible.includes(4)")
    browser.run("$('reset').click(); state.order = 'doubt'; refilter()")
    lowest = browser.run(
        "visible.map(i => Math.min(...listed(i).filter(r => index.verdict[r] !== 'm').map(best)))"
    )
    lowest = [one for one in lowest if one is not None]
    assert lowest == sorted(lowest)
    browser.run("$('reset').click(); state.order = 'support'; refilter()")
    most = browser.run("visible.map(i => Math.max(0, ...listed(i).map(r => index.support[r])))")
    assert most == sorted(most, reverse=True)
    browser.run("$('reset').click(); state.order = 'wrong'; refilter()")
    wrong = browser.run("visible.map(i => listed(i).filter(r => index.verdict[r] === 'w').length)")
    assert wrong == sorted(wrong, reverse=True)


def test_a_least_score_filters_missed_gold_too(page: Callable[..., Any]) -> None:
    browser = page("#score=0.01")
    scores = browser.run("visible.flatMap(i => listed(i)).filter(r => index.verdict[r] === 'm').map(best)")
    assert browser.run("index.verdict.includes('m')")
    assert all(one is not None and one >= 0.01 for one in scores)


def test_two_runs_are_side_by_side(
    driven: Any, run: Path, strict: Path, page: Callable[..., Any], relforge: Any
) -> None:
    out = strict.parent / "two"
    said = relforge("view", run, "--against", strict, "--folder", out, "--json").json
    assert said["both"] > 0
    assert said["only_a"] > 0
    assert said["only_b"] == 0
    counted = Counter(pq.read_table(run / "relations")["image_id"].to_pylist())
    most = max(counted, key=lambda one: counted[one])  # the strict run keeps two
    for width in WIDTHS.values():
        browser = page(f"#image={most}", width, out=out)
        panes = "[...document.querySelectorAll('.pane')]"
        first, second = browser.run(f"{panes}.map(one => one.querySelectorAll('.arrow:not(.missed)').length)")
        assert first > second > 0
        sizes = browser.run(
            "[...document.querySelectorAll('.pane svg')].map(s => s.getBoundingClientRect().width)"
        )
        assert min(sizes) > 100
    browser.run("document.querySelector('[data-side=\"3\"].chip').click()")
    assert browser.run("shown.every(r => r.side !== 3)")


def test_a_server_shows_the_run_and_no_other_site_reads_it(run: Path, driven: Any) -> None:
    server = ViewServer(RunView(str(run)))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        driven.resize(1300, 800)
        driven.open(server.address + "#3")
        driven.wait("document.querySelector('.pane image')")
        assert at(driven) == "3"
        driven.wait("performance.getEntriesByType('resource').some(r => r.name.endsWith('images/2.jpg'))")
        with urllib.request.urlopen(server.address + "images/2.jpg") as answer:
            assert answer.read(2) == b"\xff\xd8"
        for request, code in (
            (urllib.request.Request(server.address, headers={"Host": "evil.example"}), 403),
            (urllib.request.Request(server.address + "images/99.jpg"), 404),
            (urllib.request.Request(server.address + "facts/../../etc/passwd"), 404),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == code
    finally:
        server.close()
        thread.join()
        server.release()


def test_a_folder_that_is_something_else_is_left_alone(run: Path, tmp_path: Path, relforge: Any) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    said = relforge("view", run, "--folder", tmp_path / "mine")
    assert said.code == 64
    assert "is no page of relforge view" in said.err
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    page = tmp_path / "page"
    assert relforge("view", run, "--folder", page, "--images", 2).code == 0
    assert relforge("view", run, "--folder", page, "--images", 3).code == 0  # its own is replaced
    assert len(list((page / "images").iterdir())) == 3
    shutil.rmtree(page)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--serve", "--out", "x.html"], "give one of the three"),
        (["--port", "80"], "--port is of --serve"),
        (["annotations=x.json", "--serve"], "--serve is of run folders"),
    ],
)
def test_options_that_do_not_go_together(run: Path, relforge: Any, given: list[str], message: str) -> None:
    said = relforge("view", run, *given)
    assert (said.code, message in said.err) == (64, True), said.err


def test_every_command_of_the_page_on_viewing_works(
    run: Path, strict: Path, tmp_path: Path, relforge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (BENCHMARKS.parent / "docs" / "view.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("runs/tutorial").mkdir(parents=True)
    for name, folder in (("run", run), ("compat", strict)):
        shutil.copytree(folder, Path("runs/tutorial") / name)
    lines = [
        line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in block.splitlines()
    ]
    for line in lines:
        said = relforge(*shlex.split(line)[1:])
        assert said.code == 0, f"{line}: {said.err}"
    assert len(lines) == 5
    assert Path("runs/tutorial/two/index.html").is_file()
