"""What a stage takes from Ray, computed without one."""

from __future__ import annotations

from relforge.pipeline.run.job import Resources
from relforge.pipeline.run.ray_resources import fit_cpus, runtime_env


def test_pools_leave_cpus_for_tasks():
    pool, light = Resources(actors=2, num_cpus=1.0), Resources()
    cpus = fit_cpus({"ingest": light, "caption": pool, "tag": Resources(num_gpus=1)}, available=2.0)

    assert cpus["ingest"] == 1.0
    assert 2 * cpus["caption"] + cpus["tag"] <= 1.0
    assert fit_cpus({"ingest": light, "parse": light}, available=1.0) == {"ingest": 1.0, "parse": 1.0}
    one = fit_cpus({"ingest": light, "caption": Resources(actors=1)}, available=1.0)
    assert one["ingest"] + one["caption"] <= 1.0
    assert min(one.values()) > 0


def test_another_python_finds_relforge():
    assert runtime_env(Resources()) == {}
    environment = runtime_env(
        Resources(py_executable="/old/bin/python", runtime_env={"env_vars": {"A": "1"}})
    )

    assert environment["py_executable"] == "/old/bin/python"
    assert environment["env_vars"]["A"] == "1"
    assert environment["env_vars"]["PYTHONPATH"]
