"""Kept answers: nothing is asked twice, whatever dies in between."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from relforge.vlm.append import LocalFolder, open_folder
from relforge.vlm.budget import BudgetSpent, Ledger, Price, read_spent
from relforge.vlm.cache import FLUSH_EVERY, Cache, request_key
from relforge.vlm.cached import CachedClient
from relforge.vlm.client import Answer, Request, Sampling, Usage, VlmError
from tests.fixtures.vlm import GivenAnswers, view


def requests(count: int = 20, **fields: Any) -> Iterator[Request]:
    for number in range(count):
        yield Request(f"{number}", "0", "caption", [view(number)], "What is this?", **fields)


def answer(request: Request) -> Answer:
    return Answer(f"a dog {request.image_id}", logprob=-0.1, words={"Yes": 0.3}, usage=Usage(100, 10))


def cached(folder: Path | str, client: GivenAnswers | None = None, **options: Any) -> CachedClient:
    ledger = options.pop("ledger", None) or Ledger("caption", Price(1.0, 10.0))
    made = CachedClient(
        client or GivenAnswers(answer),
        Cache(open_folder(str(folder)), "caption"),
        ledger,
        model="tiny",
        **options,
    )
    made.setup()
    return made


def ask(client: CachedClient, count: int = 20) -> dict[str, Answer]:
    return {request.image_id: given for request, given in client.ask(requests(count))}


@pytest.fixture(params=["disk", "memory://"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path / "cache")
    else:
        name = f"memory://{tmp_path.name}/cache"
        yield name
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_an_answer_is_asked_for_once(folder: str) -> None:
    first, second = GivenAnswers(answer), GivenAnswers(answer, order=3)
    given = ask(cached(folder, first))
    assert ask(cached(folder, second)) == given
    assert (len(first.asked), len(second.asked)) == (20, 0)
    assert ask(cached(folder, second), 25) | given == ask(cached(folder), 25)
    assert [one.image_id for one in second.asked] == ["20", "21", "22", "23", "24"]


def test_a_worker_that_dies_loses_the_last_few_answers(tmp_path: Path) -> None:
    stream = cached(tmp_path).ask(requests())
    for _ in range(FLUSH_EVERY + 3):
        next(stream)
    lines = [line for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == FLUSH_EVERY + 1  # with what was found of the server
    again = GivenAnswers(answer)
    ask(cached(tmp_path, again))
    assert len(again.asked) == 20 - FLUSH_EVERY
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(50))
def test_kills_change_nothing(tmp_path: Path, seed: int) -> None:
    """The loop ends anywhere, its last line torn, fifty schedules."""
    rng = random.Random(seed)
    while True:
        client = GivenAnswers(answer, ahead=rng.choice((1, 4, 16)), order=seed)
        stream = cached(tmp_path, client).ask(requests())
        budget = rng.randrange(1, 26)
        given = {}
        for request, one in stream:
            given[request.image_id] = one
            budget -= 1
            if not budget:
                break
        else:
            break
        _die(stream, tmp_path, rng)
    assert given == {request.image_id: answer(request) for request in requests()}
    offline = cached(tmp_path, cache_only=True)
    assert ask(offline) == given


def _die(stream: Any, folder: Path, rng: random.Random) -> None:
    """What a killed process leaves: files as they are, at times with a part of a line more."""
    before = {path: path.read_bytes() for path in folder.glob("*.jsonl")}
    stream.close()
    for path in folder.glob("*.jsonl"):
        after = path.read_bytes()
        kept = before.get(path, b"")
        path.write_bytes(kept + after[len(kept) :][: rng.randrange(0, 60)])


def test_the_first_answer_that_was_written_counts(tmp_path: Path) -> None:
    """Two drivers may ask the same; whoever reads later sees one answer."""
    one, two = cached(tmp_path), cached(tmp_path, GivenAnswers(lambda request: "a cat"))
    first = one.ask(requests(1))
    second = two.ask(requests(1))
    assert next(first)[1].text == "a dog 0"
    assert next(second)[1].text == "a cat"
    second.close()  # type: ignore[attr-defined]
    first.close()  # type: ignore[attr-defined]
    records = [
        json.loads(line) for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    times = {record["answer"]["text"]: record["time"] for record in records if "answer" in record}
    assert times["a dog 0"] < times["a cat"]
    assert ask(cached(tmp_path, cache_only=True), 1)["0"].text == "a dog 0"


def test_cache_only_never_asks_and_names_what_is_missing(tmp_path: Path) -> None:
    ask(cached(tmp_path), 3)
    client = GivenAnswers(answer)
    with pytest.raises(VlmError, match=r"cache_only: .* has no answer to request '0' of image '3'"):
        ask(cached(tmp_path, client, cache_only=True), 4)
    assert client.asked == []


def test_a_fault_of_the_server_is_asked_about_again_but_not_offline(tmp_path: Path) -> None:
    faulty = GivenAnswers(lambda request: Answer("", "", verdict="server_error"))
    ask(cached(tmp_path, faulty), 1)
    assert ask(cached(tmp_path, cache_only=True), 1)["0"].verdict == "server_error"
    assert ask(cached(tmp_path), 1)["0"].text == "a dog 0"
    assert ask(cached(tmp_path, cache_only=True), 1)["0"].text == "a dog 0"


def test_what_was_found_of_the_server_is_kept(tmp_path: Path) -> None:
    class Noted(GivenAnswers):
        def notes(self) -> dict[str, Any]:
            return {"schema": "server"}

        def setup(self) -> None:
            if self.order_of_setups == 2:
                raise ConnectionError("nobody is there")

        order_of_setups = 1

    ask(cached(tmp_path, Noted(answer)))
    gone = Noted(answer)
    gone.order_of_setups = 2
    offline = cached(tmp_path, gone)  # a complete cache needs no server
    assert offline.notes() == {"schema": "server"}
    assert len(ask(offline)) == 20
    with pytest.raises(ConnectionError):
        ask(offline, 21)


def test_all_that_changes_a_request_changes_its_key() -> None:
    request = next(requests(schema={"type": "object"}))
    keys = [request_key(request, "tiny", "", 0, "auto")]
    keys += [
        request_key(replace(request, **change), "tiny", "", 0, "auto")
        for change in (
            {"image_id": "1"}, {"request_id": "1"}, {"role": "judge"}, {"views": [view(1)]}, {"text": "Who?"},
            {"system": "Be brief."}, {"sampling": Sampling(0.5)}, {"sample": 1}, {"words": ("Yes",)},
            {"schema": {"type": "array"}}, {"views": [replace(view(0), recipe={"view": "blur"})]},
        )
    ]  # fmt: skip
    keys += [
        request_key(request, "other", "", 0, "auto"),
        request_key(request, "tiny", "vllm", 0, "auto"),
        request_key(request, "tiny", "", 1, "auto"),
        request_key(request, "tiny", "", 0, "server"),
    ]
    assert len(set(keys)) == len(keys)
    drawn_elsewhere = replace(view(0), pixels=view(9).pixels)
    assert request_key(replace(request, views=[drawn_elsewhere]), "tiny", "", 0, "auto") == keys[0]


def test_kept_answers_between_new_ones_hold_up_nothing(tmp_path: Path) -> None:
    """Every tenth of 400 is new: the others come in passing, and few images wait."""
    kept = GivenAnswers(answer)
    list(cached(tmp_path, kept).ask(one for one in requests(400) if int(one.image_id) % 10))
    taken, most = 0, 0

    def counted() -> Iterator[Request]:
        nonlocal taken
        for request in requests(400):
            taken += 1
            yield request

    client = GivenAnswers(answer)
    for answered, _ in enumerate(cached(tmp_path, client).ask(counted())):
        most = max(most, taken - answered)
    assert (len(client.asked), answered) == (40, 399)
    assert most < 100


def test_spending_is_kept_and_a_limit_stops_before_the_next_shard(tmp_path: Path) -> None:
    def worker(count: int) -> dict[str, Answer]:
        ledger = Ledger("caption", Price(1.0, 10.0), max_cost=0.003, run_folder=str(tmp_path))
        return ask(cached(tmp_path / "cache", ledger=ledger), count)

    worker(10)  # 10 x (100 x 1 + 10 x 10) / 1e6 = 0.002
    worker(20)  # begun below the limit, and finished
    spent = read_spent(str(tmp_path))["caption"]
    assert (spent.requests, spent.input_tokens, spent.output_tokens) == (20, 2000, 200)
    assert spent.cost == pytest.approx(0.004)
    worker(20)  # costs nothing
    with pytest.raises(BudgetSpent, match=r"stages.caption.max_cost of 0.003 is spent \(0.004\)"):
        worker(21)


def test_an_object_store_gets_whole_objects(folder: str) -> None:
    ask(cached(folder))
    for name in open_folder(folder).listing():
        assert all(json.loads(line)["key"] for line in open_folder(folder).read(name).splitlines())


def test_appending_continues_a_file(tmp_path: Path) -> None:
    LocalFolder(str(tmp_path)).append("a", b"1\n")
    LocalFolder(str(tmp_path)).append("a", b"2\n")
    assert LocalFolder(str(tmp_path)).read("a", 2) == b"2\n"
