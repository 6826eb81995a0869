"""Run one reader in a fresh process and report what it took."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CHILD = """
import json, sys, time
sys.path.insert(0, {folder!r})
from importlib import import_module
run = getattr(import_module({module!r}), {function!r})
prepare = getattr(import_module({module!r}), {function!r} + "_imports", lambda: None)
prepare()
def memory(field):  # ru_maxrss would start from the parent's peak
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024
before = memory("VmRSS")
started, cpu = time.perf_counter(), time.process_time()
result = run(*{arguments!r})
took = time.perf_counter() - started, time.process_time() - cpu
peak = memory("VmHWM")
print(json.dumps([*took, peak - before, result]))
"""


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds, peak memory above what the imports take (MiB), and what the reader returned."""

    seconds: float
    cpu_seconds: float
    extra_mib: float
    result: object


def fresh(script: str, function: str, *arguments: str) -> Cost:
    """Call `function(*arguments)` of a benchmark script in a new Python process (Linux)."""
    path = Path(script).resolve()
    code = _CHILD.format(
        folder=str(path.parent), module=path.stem, function=function, arguments=list(arguments)
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{function} failed:\n{run.stderr}")
    return Cost(*json.loads(run.stdout.splitlines()[-1]))
