"""What is asked of the nodes of a cluster, on a Ray that is there."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from relforge.pipeline.errors import Outcome, RunError
from relforge.pipeline.run import ray_health, ray_nodes
from relforge.pipeline.run.driver import Driver
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Limits, Resources
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.prepare import prepare
from relforge.pipeline.run.ray_health import RayHealth, RayLost
from relforge.pipeline.run.ray_nodes import ClusterWatch, find_unseen, shared_files
from relforge.pipeline.run.status import status
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job

GPU = Resources(actors=1, num_gpus=64)


def test_a_node_without_the_run_folder_or_a_file_names_it(tmp_path: Path) -> None:
    here, elsewhere = RunFolder(str(tmp_path / "here")), RunFolder(str(tmp_path / "elsewhere"))
    here.write_json("logs/probe-1.json", {"driver": "1"})

    assert find_unseen(here, "logs/probe-1.json", "1", [str(tmp_path)]) == ""
    assert find_unseen(here, "logs/probe-1.json", "1", ["/absent/images"]) == "/absent/images"
    assert find_unseen(elsewhere, "logs/probe-1.json", "1", []) == f"the run folder {elsewhere.uri}"
    here.write_json("logs/probe-1.json", {"driver": "another"})  # a folder of the same name, not shared
    assert find_unseen(here, "logs/probe-1.json", "1", []) == f"the run folder {here.uri}"


@pytest.mark.usefixtures("ray_here")
def test_a_gpu_that_no_node_has_is_refused_before_the_first_shard(ram: Path, source) -> None:
    job = tiny_job(ram / "run", source(8), caption_resources=GPU)

    result = run(job)

    assert result.outcome == Outcome.FAILED
    assert "stage 'caption' (stages.caption.resources) asks for 64 GPUs per worker" in result.message
    assert result.committed == {}


@pytest.mark.usefixtures("ray_here")
def test_a_node_that_does_not_see_a_file_is_named_and_nothing_is_begun(
    ram: Path, source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_nodes, "shared_files", lambda plan, steps: ["/absent/on/this/node"])

    result = run(tiny_job(ram / "run", source(8)))

    assert result.outcome == Outcome.INCOMPLETE
    assert "does not see /absent/on/this/node; put it where every node sees it" in result.message
    assert result.committed == {}
    assert not list((ram / "run" / "logs").glob("probe-*"))


@pytest.mark.usefixtures("ray_here")
def test_a_node_that_joins_later_is_asked_too(ram: Path, source, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = ray_nodes.alive_nodes()
    nodes: list[ray_nodes.Node] = []
    monkeypatch.setattr(ray_nodes, "alive_nodes", lambda: nodes)
    monkeypatch.setattr(ray_nodes, "shared_files", lambda plan, steps: ["/absent/on/this/node"])
    job = tiny_job(ram / "run", source(8))
    folder = RunFolder(job.folder)
    plan, _ = prepare(folder, job)

    with Driver(folder) as driver:
        watch = ClusterWatch(plan, folder, driver, {}, lambda _: None)
        watch.look(now=True)
        nodes += joined
        with pytest.raises(RunError, match="does not see /absent/on/this/node; put it where every node"):
            watch.look(now=True)


@pytest.mark.usefixtures("ray_here")
def test_what_a_growing_cluster_lacks_is_said_and_shown_by_status(
    ram: Path, source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_nodes, "_WAIT_SECONDS", -1.0)
    job = tiny_job(ram / "run", source(8), limits=Limits(autoscaling=True), caption_resources=GPU)
    folder = RunFolder(job.folder)
    plan, _ = prepare(folder, job)
    said: list[str] = []

    with Driver(folder) as driver:
        watch = ClusterWatch(plan, folder, driver, {"caption": GPU}, said.append)
        watch.look(now=True)
        watch.look(now=True)
        shown = status(job.folder).waits
        watch.close()

    assert said == ["caption waits for 64 GPU; the largest node of the cluster has 0 GPU"]
    assert shown == said
    assert status(job.folder).waits == []
    assert not (ram / "run" / "logs" / "waiting.json").exists()


def test_images_and_the_files_of_stages_are_looked_for(tmp_path: Path, source) -> None:
    job = tiny_job(tmp_path / "run", source(2))
    (tmp_path / "images").mkdir()
    images = {
        "a": f"{tmp_path}/images/{{image_id}}.jpg",
        "b": "s3://bucket/*.jpg",
        "c": "/absent/{file_name}",
    }
    plan = make_plan(job)
    with_images = replace(plan, job=replace(job, source=replace(job.source, options={"images": images})))
    annotation = list(plan.ingest.files)

    assert annotation
    assert shared_files(with_images, ["ingest", "match"]) == [*annotation, str(tmp_path / "images")]


@pytest.mark.usefixtures("ray_here")
def test_what_is_lacking_is_said_while_other_stages_work(
    ram: Path, source, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tiny_job(ram / "run", source(8), limits=Limits(autoscaling=True), caption_resources=GPU)
    folder = RunFolder(job.folder)
    plan, _ = prepare(folder, job)
    said: list[str] = []

    with Driver(folder) as driver:
        watch = ClusterWatch(plan, folder, driver, {"caption": GPU}, said.append)
        watch.look(now=True)
        before = list(said)
        monkeypatch.setattr(ray_nodes, "_WAIT_SECONDS", 0.0)
        folder.write_json("logs/running/parse-00001.json", {"attempt": 1})  # begun just now
        watch.look(now=True)
        watch.close()

    assert before == []
    assert len(said) == 1


@pytest.mark.usefixtures("ray_here")
def test_a_change_after_the_model_needs_no_gpu(ram: Path, source) -> None:
    path = source(8)
    run(tiny_job(ram / "run", path, caption_resources=Resources(actors=1)), executor="loop")

    result = run(tiny_job(ram / "run", path, parse={"shout": True}, caption_resources=GPU))

    assert result.outcome == Outcome.COMPLETE
    assert set(result.committed) == {"parse", "match"}


@pytest.mark.usefixtures("ray_here")
def test_a_head_that_is_gone_and_a_node_that_died_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_health, "_LOOK_SECONDS", 0.0)
    health = RayHealth()
    assert health.check()

    node_died = r"^Ray on this machine died .* give the same command again$"
    known, health._node = health._node, "of another time"
    with pytest.raises(RayLost, match=node_died):
        health.check()

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        health._node, raylet = known, health._raylet
        health._raylet = f"127.0.0.1:{closed.getsockname()[1]}"  # before the head has noticed
        with pytest.raises(RayLost, match=node_died):
            health.check()

        head_gone = r"^the head of the Ray cluster .* give the same command again when"
        health._address = health._raylet
        with pytest.raises(RayLost, match=head_gone):  # a node that went with its head
            health.check()

        health._raylet = raylet
        assert not health.check()  # it may come back
        monkeypatch.setattr(ray_health, "LOST_SECONDS", -1.0)
        with pytest.raises(RayLost, match=head_gone):
            health.check()


@pytest.mark.usefixtures("ray_here")
def test_what_ray_prints_of_its_nodes_is_not_among_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    from ray._private import worker

    data = {"lines": ["Raylet is terminated"], "pid": "raylet", "is_err": False}
    worker.print_to_stdstream(data, ignore_prefix=False)

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Raylet is terminated" in printed.err
