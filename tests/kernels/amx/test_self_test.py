"""AMX is used only where it is there, wanted, and right."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relforge.kernels.amx import self_test
from relforge.kernels.amx.attention import PackedKeys
from relforge.kernels.amx.library import VARIABLE, Precision, why_unavailable
from relforge.kernels.amx.peak import measure_peak
from relforge.kernels.self_test import SelfTestFailed
from tests.fixtures.emulated_amx import native_or_emulated_library
from tests.fixtures.sanitized import report_of


@pytest.mark.usefixtures("amx")
@pytest.mark.parametrize("precision", ["split", "bfloat16"])
@pytest.mark.parametrize(("factor", "error"), [(1.1, "0"), (float("nan"), "inf")])
def test_the_self_test_notices_wrong_results(
    precision: Precision, factor: float, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert self_test.self_test(precision) < self_test.TOLERANCE[precision]
    attend = PackedKeys.attend

    def wrong(self: PackedKeys, sequence: int, queries: torch.Tensor) -> torch.Tensor:
        return factor * attend(self, sequence, queries)

    monkeypatch.setattr(PackedKeys, "attend", wrong)
    expected = f"AMX with {precision} operands is off by {error}.* Run with {VARIABLE}=torch"
    with pytest.raises(SelfTestFailed, match=expected):
        self_test.self_test.__wrapped__(precision)


@pytest.mark.usefixtures("amx")
def test_the_peak_speed_is_measurable() -> None:
    assert measure_peak() > 0


def test_amx_can_be_switched_off_and_other_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert why_unavailable() == f"{VARIABLE}=torch"
    monkeypatch.setenv(VARIABLE, "amx")
    with pytest.raises(ValueError, match=f"{VARIABLE}=amx: set it to auto or torch"):
        why_unavailable()


@pytest.mark.slow
def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path: Path) -> None:
    assert "fine" in report_of(
        native_or_emulated_library(), Path(__file__).with_name("sanitized.cpp"), tmp_path
    )
