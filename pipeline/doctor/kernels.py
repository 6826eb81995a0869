"""Which kernels run here."""

from __future__ import annotations

from collections.abc import Iterator

from relforge.kernels.native import loading
from relforge.kernels.native.build import RESIZE
from relforge.pipeline.doctor.check import Check


def check_kernels() -> Iterator[Check]:
    """Per device: the deformable attention that a tagging job would choose, tested against the twin, and the
    others; the tile unit that a captioning job would use, tested against torch; and what resizes pictures."""
    try:
        import torch

        from relforge.kernels.msda.dispatch import KernelUnavailable, describe
        from relforge.kernels.msda.self_test import SelfTestFailed, self_test
    except ImportError:
        return  # the version check has said that torch is missing
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        try:
            found = describe(device)
            tested = self_test(device)
        except (KernelUnavailable, SelfTestFailed, ValueError) as error:
            yield Check("kernels", f"deformable attention on {device}", "broken", str(error))
            continue
        others = "; ".join(f"{name}: {why}" for name, why in found.items() if name != "chosen")
        detail = f"{found['chosen']}, within {tested.worst:.1e} of the twin ({others})"
        yield Check("kernels", f"deformable attention on {device}", "ok", detail)
    yield _tiles()
    if reason := loading.why_unavailable(RESIZE):
        yield Check("kernels", "picture resize", "absent", f"Pillow resizes, several times slower: {reason}")
    else:
        yield Check("kernels", "picture resize", "ok", "native")


def _tiles() -> Check:
    from relforge.kernels.amx.library import why_unavailable
    from relforge.kernels.amx.self_test import self_test
    from relforge.kernels.msda.self_test import SelfTestFailed

    name = "products on the tile unit"
    try:
        if reason := why_unavailable():
            return Check("kernels", name, "absent", f"{reason}; the captioner multiplies with torch")
        split, rounded = self_test("split"), self_test("bfloat16")
        detail = f"AMX, within {split:.1e} (float32, split) and {rounded:.1e} (bfloat16) of torch's float64"
        return Check("kernels", name, "ok", detail)
    except (SelfTestFailed, ValueError) as error:
        return Check("kernels", name, "broken", str(error))
