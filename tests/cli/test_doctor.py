"""`relforge doctor`: its topics, and the exit code."""

from __future__ import annotations

import os
from importlib import metadata

import pytest

from relforge.cli.app import main
from relforge.pipeline.doctor.machine import check_devices, check_versions
from relforge.pipeline.store.local_storage import LocalStorage


def test_every_topic_is_examined(relforge) -> None:
    checks = relforge("doctor", "--json").json["checks"]

    topics = {"versions", "devices", "kernels", "ingest", "models", "ray"}
    assert {check["topic"] for check in checks} == topics
    assert next(check for check in checks if check["name"] == "pyarrow")["state"] == "ok"


def test_a_missing_package_is_named_with_the_extra_that_brings_it(relforge, monkeypatch) -> None:
    absent = {"s3fs", "h5py", "triton", "SceneGraphParser"}

    def version(name: str) -> str:
        if name in absent:
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("relforge.pipeline.doctor.machine.metadata.version", version)
    details = {check.name: check.detail for check in check_versions() if check.state == "absent"}

    assert details.keys() == absent
    assert details["s3fs"].endswith("run folders on s3://: pip install 'relforge[s3]'")
    assert details["h5py"].endswith("pip install 'relforge[vg150]'")
    assert details["triton"].endswith("pip install 'relforge[gpu]'")


def test_a_mac_has_no_affinity_and_may_not_say_its_memory(monkeypatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.sysconf", unknown)
    found = {check.name: check for check in (*check_versions(), *check_devices())}

    assert found["system"].state == "ok"
    assert found["cpu"].detail == f"{os.cpu_count()} usable of {os.cpu_count()}"
    assert found["memory"].detail == "the system does not say"


def test_windows_is_refused_in_one_sentence(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.platform", "win32")

    with pytest.raises(SystemExit) as end:
        main(["--help"])

    said = capsys.readouterr()
    assert (end.value.code, said.out) == (64, "")
    assert said.err.count("\n") == 1
    assert "WSL 2" in said.err


def test_a_file_system_without_locks_still_commits(tmp_path, monkeypatch) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    storage = LocalStorage(str(tmp_path))

    with storage.lock("_state/lock"):
        storage.write("file", b"content")

    assert (tmp_path / "file").read_bytes() == b"content"


def test_something_broken_exits_3_and_something_absent_does_not(relforge, monkeypatch) -> None:
    from relforge.pipeline import doctor
    from relforge.pipeline.doctor.check import Check

    monkeypatch.setattr(doctor, "examine", lambda: [Check("models", "x", "absent", "")])
    assert relforge("doctor").code == 0

    monkeypatch.setattr(doctor, "examine", lambda: [Check("versions", "torch", "broken", "")])
    assert relforge("doctor").code == 3
