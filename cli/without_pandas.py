"""pyarrow without pandas, for commands that read tables and have nothing of pandas'."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType


def skip_pandas() -> None:
    """Spare this process the import of pandas: a sixth of a second and 25 MB.

    pyarrow imports it at the first value that it converts, to see whether that is one of pandas'. It is told
    once that there is no pandas; where a table is to become one of pandas', it asks again and finds it.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow

    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pyarrow.scalar(0)
    finally:
        sys.meta_path.remove(absent)


class _Absent:
    """Finds no pandas."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
