"""Devices and number types: what is requested, what is there, and what would be slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.models import device as device_module
from relforge.models.device import check_device_dtype, multiplies_bfloat16, slow_dtype


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ("flags : fpu avx512f avx512_bf16", True),
        ("flags : amx_bf16 amx_tile", True),
        ("Features : asimd bf16", True),
        ("flags : fpu avx512f avx512_vnni", False),
    ],
)
def test_the_processor_says_whether_it_multiplies_bfloat16(tmp_path: Path, flags: str, fast: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    assert multiplies_bfloat16(str(tmp_path / "cpuinfo")) is fast


def test_a_machine_that_says_nothing_is_not_called_slow(tmp_path: Path) -> None:
    assert multiplies_bfloat16(str(tmp_path / "absent"))


def test_only_bfloat16_on_a_cpu_without_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "multiplies_bfloat16", lambda: False)
    assert "dtype: auto" in (slow_dtype("cpu", "bfloat16") or "")
    assert slow_dtype("cpu", "auto") is None
    assert slow_dtype("cuda", "bfloat16") is None
    monkeypatch.setattr(device_module, "multiplies_bfloat16", lambda: True)
    assert slow_dtype("cpu", "bfloat16") is None


@pytest.mark.parametrize(
    ("device", "dtype", "named"), [("gpu0", "auto", "device is 'gpu0'"), ("cpu", "half", "dtype is 'half'")]
)
def test_what_exists_nowhere_is_refused_by_name(device: str, dtype: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_device_dtype(device, dtype)
    check_device_dtype("cuda:7", "bfloat16")  # of another machine, perhaps
