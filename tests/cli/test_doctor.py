"""`relforge doctor`: its topics, and the exit code."""

from __future__ import annotations


def test_every_topic_is_examined(relforge) -> None:
    checks = relforge("doctor", "--json").json["checks"]

    topics = {"versions", "devices", "kernels", "ingest", "models", "ray"}
    assert {check["topic"] for check in checks} == topics
    assert next(check for check in checks if check["name"] == "pyarrow")["state"] == "ok"


def test_something_broken_exits_3_and_something_absent_does_not(relforge, monkeypatch) -> None:
    from relforge.pipeline import doctor
    from relforge.pipeline.doctor.check import Check

    monkeypatch.setattr(doctor, "examine", lambda: [Check("models", "x", "absent", "")])
    assert relforge("doctor").code == 0

    monkeypatch.setattr(doctor, "examine", lambda: [Check("versions", "torch", "broken", "")])
    assert relforge("doctor").code == 3
