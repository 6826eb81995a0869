"""Whether a run fits a cluster, computed without one."""

from __future__ import annotations

import pytest

from relforge.pipeline.errors import DoesNotFit
from relforge.pipeline.run.job import Resources
from relforge.pipeline.run.ray_fit import Node, fit_cluster

TASK = Resources()


def nodes(*totals: dict[str, float]) -> list[Node]:
    return [Node(str(number), f"node-{number}", total) for number, total in enumerate(totals)]


def test_a_task_takes_what_the_actors_leave_on_some_node_wherever_they_are() -> None:
    cpus = fit_cluster(
        {"ingest": TASK, "caption": Resources(actors=1), "tag": Resources(actors=1)},
        nodes({"CPU": 1}, {"CPU": 1}),
    )

    assert cpus == {"ingest": 0.5, "caption": 0.5, "tag": 0.5}  # Ray may put one actor on each node


def test_a_cluster_with_room_gives_a_whole_cpu_and_what_the_config_says() -> None:
    needed = {"ingest": TASK, "parse": Resources(num_cpus=2), "tag": Resources(actors=(1, 4), num_gpus=1)}

    cpus = fit_cluster(needed, nodes({"CPU": 8, "GPU": 1}, {"CPU": 8}))

    assert cpus == {"ingest": 1.0, "parse": 2, "tag": 0.5}


@pytest.mark.parametrize(
    ("needed", "totals", "sentence"),
    [
        (
            {"ingest": TASK, "tag": Resources(num_gpus=1)},
            [{"CPU": 4}, {"CPU": 4}],
            r"stage 'tag' \(stages\.tag\.resources\) asks for 1 GPU per worker, and a node of the cluster "
            r"has at most 0 GPUs \(2 nodes: node-0 with 4 CPUs; node-1 with 4 CPUs\)",
        ),
        ({"parse": Resources(num_cpus=6)}, [{"CPU": 4}, {"CPU": 4}], "asks for 6 CPUs per worker"),
        (
            {"tag": Resources(actors=1, memory=64 << 30)},
            [{"CPU": 4, "memory": 32 * 2.0**30}],
            r"asks for 64\.0 GiB of memory per worker, .* at most 32\.0 GiB of memory",
        ),
        (
            {"ingest": Resources(custom={"disk": 1})},
            [{"CPU": 4}],
            r"ingest \(dataset\.resources\) asks for 1 disk",
        ),
        (
            {"ingest": TASK, "tag": Resources(actors=3, num_cpus=1)},
            [{"CPU": 1}, {"CPU": 1}],
            r"the actors of all stages together \(3 of 'tag'\) do not fit the cluster",
        ),
        (
            {"ingest": TASK, "tag": Resources(actors=2, num_cpus=1)},
            [{"CPU": 1}, {"CPU": 1}],
            "take every CPU of the cluster .* so 'ingest' would wait for ever",
        ),
        (
            {"ingest": Resources(num_cpus=1), "tag": Resources(actors=2)},
            [{"CPU": 1}],
            "take every CPU|asks for 1 CPUs a task",
        ),
        (
            {"parse": Resources(num_cpus=3), "tag": Resources(actors=2, num_cpus=1)},
            [{"CPU": 4}],
            r"stage 'parse' .* asks for 3 CPUs a task, .* \(2 of 'tag'\) leave at most 2 on a node",
        ),
    ],
)
def test_what_can_never_fit_is_one_sentence_with_the_clusters_numbers(
    needed: dict[str, Resources], totals: list[dict[str, float]], sentence: str
) -> None:
    with pytest.raises(DoesNotFit, match=sentence):
        fit_cluster(needed, nodes(*totals))


def test_an_elastic_pool_may_grow_over_the_cluster_but_not_start_over_it() -> None:
    needed = {"ingest": TASK, "tag": Resources(actors=(2, 100))}

    assert fit_cluster(needed, nodes({"CPU": 4}))["ingest"] == 1.0


def test_actors_that_differ_are_placed_largest_first() -> None:
    needed = {"a": Resources(actors=2, num_cpus=1), "b": Resources(actors=1, num_cpus=3)}

    assert fit_cluster(needed, nodes({"CPU": 3}, {"CPU": 2})) == {"a": 1, "b": 3}
