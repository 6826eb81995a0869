"""Which file names differ in folder, case or extension alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def find_shared_names(file_names: pa.Array) -> pa.Array:
    """For each file name whether another one differs from it only in folder, case or extension.

    `a/7.jpg` and `b/7.JPG` do: captions for `7.jpg` may be of either. Records with one and the same file
    name do not: they are of one file.

    Args:
        file_names: N texts; null where the record gives none.

    Returns:
        N bool; null where the name is null.
    """
    stems = pc.utf8_lower(pc.replace_substring_regex(file_names, r"^.*[/\\]|\.[^./\\]*$", ""))
    distinct = pc.unique(file_names)
    stem_of = pc.utf8_lower(pc.replace_substring_regex(distinct, r"^.*[/\\]|\.[^./\\]*$", ""))
    counts = pc.value_counts(stem_of.drop_null())
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    shared = pc.is_in(stems, repeated).to_numpy(zero_copy_only=False)
    return pa.array(shared, pa.bool_(), mask=np.asarray(file_names.is_null()))
