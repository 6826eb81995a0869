"""Which kernels run here, and how COCO-format files are read."""

from __future__ import annotations

from collections.abc import Iterator

from relforge.kernels.native.build import RESIZE, SCAN
from relforge.kernels.native.loading import why_unavailable
from relforge.pipeline.doctor.check import Check


def check_kernels() -> Iterator[Check]:
    """Per device: the deformable attention that a tagging job would choose, tested against the reference, and
    the others; the AMX kernels that a captioning job would use, tested against torch; and what resizes
    images."""
    try:
        import torch

        from relforge.kernels.msda.dispatch import KernelUnavailable, describe
        from relforge.kernels.msda.self_test import self_test
        from relforge.kernels.self_test import SelfTestFailed
    except ImportError:
        return  # the version check has reported that torch is missing
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        try:
            found = describe(device)
            tested = self_test(device)
        except (KernelUnavailable, SelfTestFailed, ValueError) as error:
            yield Check("kernels", f"deformable attention on {device}", "broken", str(error))
            continue
        others = "; ".join(f"{name}: {why}" for name, why in found.items() if name != "chosen")
        detail = f"{found['chosen']}, within {tested.worst:.1e} of the reference ({others})"
        yield Check("kernels", f"deformable attention on {device}", "ok", detail)
    yield _check_amx()
    if reason := why_unavailable(RESIZE):
        yield Check("kernels", "image resize", "absent", f"Pillow resizes, several times slower: {reason}")
    else:
        yield Check("kernels", "image resize", "ok", "native")


def _check_amx() -> Check:
    from relforge.kernels.amx.library import why_unavailable as why_no_amx
    from relforge.kernels.amx.self_test import self_test
    from relforge.kernels.self_test import SelfTestFailed

    name = "GEMM on AMX"
    try:
        if reason := why_no_amx():
            return Check("kernels", name, "absent", f"{reason}; the captioner uses torch")
        split, rounded = self_test("split"), self_test("bfloat16")
        detail = f"within {split:.1e} (float32, split) and {rounded:.1e} (bfloat16) of torch's float64"
        return Check("kernels", name, "ok", detail)
    except (SelfTestFailed, ValueError) as error:
        return Check("kernels", name, "broken", str(error))


def check_reader() -> Iterator[Check]:
    """Natively, or by Python with the same result."""
    reason = why_unavailable(SCAN)
    if reason is None:
        yield Check("ingest", "COCO reader", "ok", "native")
    else:
        yield Check("ingest", "COCO reader", "absent", f"Python reads, several times slower: {reason}")
