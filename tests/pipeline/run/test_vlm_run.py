"""Runs whose captions come from an endpoint: equal bytes, offline, limits of cost, and no key anywhere."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relforge.cli.app import invoke
from relforge.pipeline.config import ConfigError, Source, check, resolve
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.estimate import estimate
from relforge.pipeline.run.execute import Executor, run
from relforge.pipeline.run.foresee import foresee
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.progress import Notice
from relforge.pipeline.run.status import status
from relforge.vlm import cache
from tests.fixtures.vlm_servers import Faults, Reply, Scripted, listening, say

pytest.importorskip("openai", reason="pip install 'relforge[vlm]'")

IMAGES = 11
Make = Callable[..., Job]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file of eleven noise images."""
    folder = tmp_path_factory.mktemp("dataset")
    images = []
    for number in range(IMAGES):
        pixels = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 64, "height": 48})
    categories = [{"id": 1, "name": "dog"}]
    document = {"images": images, "annotations": [], "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def job(dataset: Path, ram: Path) -> Make:
    """`job(port, folder="run", **options of the caption stage)`."""

    def make(port: int, folder: str = "run", resources: Any = None, **options: Any) -> Job:
        caption: dict[str, Any] = {
            "backend": "vlm",
            "model": "tiny",
            "endpoint": f"http://127.0.0.1:{port}/v1",
        }
        caption |= {"captions": 2, "retries": 1, **options}
        place = folder if "://" in folder else str(ram / folder)
        values = {
            "dataset": {
                "name": "noise", "split": "all", "format": "coco",
                "annotations": f"{dataset}/instances.json", "images": str(dataset),
            },
            "run": {"folder": place, "shard_images": 4, "retries": 1},
            "stages": {"caption": caption | ({"resources": resources} if resources else {})},
        }  # fmt: skip
        source = Source("job.yaml", values)
        return resolve(check(source), source)

    return make


@pytest.fixture
def server() -> Iterator[tuple[int, Scripted]]:
    scripted = Scripted()
    with listening(scripted.handle) as port:
        yield port, scripted


def captions_asked(scripted: Scripted) -> int:
    return sum("Describe" in json.dumps(body) for body in scripted.asked)


def digest(job: Job, executor: Executor = "loop") -> str:
    result = run(job, executor=executor)
    assert result.outcome == Outcome.COMPLETE, result.message
    assert result.dataset_hash
    return result.dataset_hash


def test_equal_bytes_whatever_is_on_its_way_and_offline(job: Make, server: tuple[int, Scripted]) -> None:
    port, scripted = server
    found = [digest(job(port, f"run{count}", in_flight=count)) for count in (1, 4, 16)]
    assert len(set(found)) == 1
    assert captions_asked(scripted) == 3 * 2 * IMAGES
    kept = f"{job(port, 'run4').folder}/cache/vlm"
    assert digest(job(9, "offline", cache=kept, cache_only=True)) == found[0]
    assert captions_asked(scripted) == 3 * 2 * IMAGES


@pytest.mark.slow
def test_answers_are_kept_beside_a_run_on_object_storage(
    job: Make, server: tuple[int, Scripted], bucket: str
) -> None:
    port, scripted = server
    found = digest(job(port, f"{bucket}/vlm"))
    assert found == digest(job(port, "disk"))
    assert captions_asked(scripted) == 4 * IMAGES
    assert digest(job(9, "offline", cache=f"{bucket}/vlm/cache/vlm", cache_only=True)) == found
    (asked,) = status(f"{bucket}/vlm").answered
    assert asked.spent.requests >= 2 * IMAGES


def test_kills_of_the_loop_end_in_the_same_bytes(job: Make, server: tuple[int, Scripted]) -> None:
    """Twelve times the worker's cache dies in its middle; answers that were flushed are not asked again."""
    port, scripted = server
    undisturbed = digest(job(port, "undisturbed"))
    scripted.asked.clear()
    rng = random.Random(0)
    original = cache.Cache.put

    class Killed(BaseException):
        pass

    for _ in range(12):
        left = rng.randrange(3, 20)

        def put(self: cache.Cache, *args: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._waiting.clear()  # what a killed process had not written
                raise Killed
            original(self, *args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache.Cache, "put", put)
            try:
                run(job(port, "killed", in_flight=4), executor="loop")
            except Killed:
                continue
            break
    assert digest(job(port, "killed", in_flight=4)) == undisturbed
    assert captions_asked(scripted) >= 2 * IMAGES


def test_faults_of_the_network_change_nothing(job: Make, server: tuple[int, Scripted]) -> None:
    port, _ = server
    undisturbed = digest(job(port, "undisturbed"))
    rng = random.Random(1)
    faults = ("drop", "cut", (429, {"retry-after": "0"}), (503, {"retry-after": "0"}), None, None, None, None)
    plan = Faults(port, lambda number: rng.choice(faults) if number > 5 else None)
    with listening(plan.handle) as proxy:
        assert digest(job(proxy, "disturbed", retries=8)) == undisturbed
    (found,) = status(job(port, "disturbed").folder).answered
    assert found.spent.retries > 0


def test_an_outage_ends_the_run_as_incomplete_and_the_same_command_goes_on(
    job: Make, server: tuple[int, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relforge.vlm.endpoint._FIRST_WAIT", 0.01)
    port, scripted = server
    down = Faults(port, lambda number: (503, {"retry-after": "0"}) if number > 15 else None)
    with listening(down.handle) as proxy:
        ended = run(job(proxy, "outage", in_flight=2), executor="loop")
        assert ended.outcome == Outcome.INCOMPLETE
        assert "does not answer" in ended.message
    before = captions_asked(scripted)
    assert before < 2 * IMAGES
    assert digest(job(port, "outage"))
    assert captions_asked(scripted) - before <= 2 * IMAGES - before + 8


def test_a_limit_of_cost_ends_the_run_and_is_raised(job: Make, server: tuple[int, Scripted]) -> None:
    port, scripted = server
    price = {"input": 1000.0, "output": 1000.0}  # 41 tokens an answer: 0.041
    ended = run(job(port, max_cost=0.5, price=price), executor="loop")
    assert ended.outcome == Outcome.INCOMPLETE
    assert "stages.caption.max_cost of 0.5 is spent" in ended.message
    (found,) = status(job(port).folder).answered
    assert 0.5 <= found.spent.cost < 0.5 + 8 * 0.041 + 0.5
    before = captions_asked(scripted)
    digest(job(port, max_cost=5.0, price=price))
    assert captions_asked(scripted) == 2 * IMAGES
    assert before < 2 * IMAGES
    (found,) = status(job(port).folder).answered
    assert found.verdicts == {"ok": 2 * IMAGES}
    assert found.worth == pytest.approx(2 * IMAGES * 0.041)
    assert (found.input_tokens, found.output_tokens) == (2 * IMAGES * 36, 2 * IMAGES * 5)


def test_tokens_and_cost_are_printed_before_and_after(
    job: Make, server: tuple[int, Scripted], dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, _ = server
    made = job(port, price={"input": 1.0, "output": 2.0})
    found = foresee(made)["caption"]
    assert found is not None
    assert found.requests == 2 * IMAGES
    digest(made)
    assert invoke(["status", made.folder]) == 0
    shown = capsys.readouterr().out
    assert "answers of" in shown
    assert "792" in shown
    assert invoke(["report", made.folder]) == 0
    assert "answers of" in capsys.readouterr().out
    assert "Answers of models" in Path(made.folder, "report.html").read_text()


def test_boxes_are_counted_before_a_run(dataset: Path, ram: Path) -> None:
    annotation = json.loads((dataset / "instances.json").read_text())
    annotation["annotations"] = [
        {"id": 2 * image + box, "image_id": image, "category_id": 1, "bbox": [10 * box, 5, 9, 9]}
        for image in range(IMAGES)
        for box in range(2)
    ]
    (ram / "boxes.json").write_text(json.dumps(annotation))
    values = {
        "dataset": {
            "name": "noise", "split": "all", "format": "coco",
            "annotations": f"{ram}/boxes.json", "images": str(dataset),
        },
        "run": {"folder": str(ram / "pairs")},
        "stages": {
            "caption": {"backend": "vlm_pairs", "model": "tiny", "endpoint": "http://127.0.0.1:9/v1"}
        },
    }  # fmt: skip
    source = Source("job.yaml", values)
    found = foresee(resolve(check(source), source))["caption"]
    assert found is not None
    assert found.requests == IMAGES  # one pair an image


def test_a_key_is_in_no_file_and_no_message(
    job: Make, ram: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-key-that-nobody-sees"
    monkeypatch.setenv("VLM_TEST_KEY", key)
    refusing = Scripted(lambda body: refuse(key))
    with listening(refusing.handle) as port:
        ended = run(job(port, "refused", api_key_env="VLM_TEST_KEY"), executor="loop")
    assert refusing.headers[0]["authorization"] == f"Bearer {key}"
    assert ended.outcome == Outcome.FAILED
    assert "the key is refused" in ended.message
    assert len(refusing.asked) < 5  # no search for a record that is to blame
    folder = ram / "refused"
    assert (folder / "logs" / "failed").is_dir()
    for path in folder.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path
    assert key not in ended.message
    assert key not in "".join(capfd.readouterr())
    assert json.loads((folder / "run.json").read_text())["job"]["secrets"] == {}


def test_a_key_that_expires_is_not_blamed_on_an_image(job: Make) -> None:
    """The search for a record that makes a stage raise would ask the server over and over."""
    expiring = Scripted(lambda body: refuse("sk") if "Describe" in json.dumps(body) else say(body))
    with listening(expiring.handle) as port:
        ended = run(job(port, "expired", in_flight=1), executor="loop")
    assert ended.outcome == Outcome.FAILED
    assert captions_asked(expiring) <= 2
    (failed,) = Path(job(1, "expired").folder, "logs", "failed").iterdir()
    assert json.loads(failed.read_text())["record"] is None


def refuse(key: str) -> Reply:
    return 401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {key}"}}).encode()


def test_images_that_may_go_anywhere_are_announced(job: Make, server: tuple[int, Scripted]) -> None:
    port, _ = server
    told: list[str] = []
    run(
        job(port, send_images="anywhere"),
        executor="loop",
        progress=lambda event: told.append(event.text) if isinstance(event, Notice) else None,
    )
    assert f"stage 'caption': images will be sent to 127.0.0.1:{port} (send_images: anywhere)" in told


def test_a_host_that_images_may_not_go_to_is_refused(job: Make) -> None:
    made = job(1, "elsewhere", endpoint="http://192.0.2.7/v1")
    ended = run(made, executor="loop")
    assert ended.outcome == Outcome.FAILED
    assert "is at 192.0.2.7, and send_images: loopback keeps images from there" in ended.message
    private = run(job(1, "private", endpoint="http://10.0.0.1/v1"), executor="loop")
    assert "write send_images: private" in private.message


@pytest.mark.parametrize("option", ["api_key", "headers", "base_url"])
def test_there_is_no_option_for_a_key_or_headers(job: Make, option: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key '{option}'"):
        job(1, **{option: "sk-1234567"})


def test_the_name_of_the_variable_is_no_secret(job: Make) -> None:
    made = job(1, api_key_env="OPENAI_API_KEY")
    assert made.secrets == {}
    assert made.to_dict()["stages"][0]["options"]["api_key_env"] == "OPENAI_API_KEY"


def test_nothing_of_the_load_or_the_money_redoes_anything(job: Make, server: tuple[int, Scripted]) -> None:
    port, scripted = server
    digest(job(port))
    with listening(Scripted(say).handle) as other:
        changed = job(
            other, in_flight=2, requests_per_minute=1000.0, tokens_per_minute=1e6, timeout_s=5.0,
            price={"input": 1.0}, max_cost=9.0, send_images="private", cache_only=True,
        )  # fmt: skip
        assert run(changed, executor="loop").committed == {}
    assert captions_asked(scripted) == 2 * IMAGES


@pytest.mark.slow
@pytest.mark.alone
def test_one_and_three_workers_on_ray(job: Make, server: tuple[int, Scripted], ray_here: None) -> None:
    port, scripted = server
    alone = digest(job(port, "loop"))
    scripted.asked.clear()
    scripted.seconds = 0.5  # so that the first actor is still at work when the others are there
    light = {"actors": 3, "num_cpus": 0.1}
    assert digest(job(port, "three", resources=light), "ray") == alone
    assert captions_asked(scripted) == 2 * IMAGES


def test_what_is_asked_in_measuring_is_not_asked_again(job: Make, server: tuple[int, Scripted]) -> None:
    port, scripted = server
    assert estimate(job(port), 3, 2).images == IMAGES
    assert captions_asked(scripted) == 6
    assert digest(job(port)) == digest(job(port, "alone"))
    assert captions_asked(scripted) == 4 * IMAGES


def test_plan_prints_requests_and_cost(
    job: Make, dataset: Path, ram: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = job(1, price={"input": 1.0, "output": 2.0})
    config = ram / "job.yaml"
    config.write_text(json.dumps(made.config))
    assert invoke(["plan", str(config)]) == 0
    assert "caption: about 22 requests, 0.01 million tokens in" in capsys.readouterr().out
    assert invoke(["plan", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["foreseen"]["caption"]["requests"] == 2 * IMAGES
