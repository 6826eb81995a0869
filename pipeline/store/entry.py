"""One shard of one table as found in the folder."""

from __future__ import annotations

import msgspec

from relforge.pipeline.store.sidecar import QuarantineFile, Sidecar
from relforge.pipeline.store.storage import Stat


class Facts(msgspec.Struct, gc=False):
    """The fields of a sidecar that decide whether its shard is done."""

    fingerprint: str
    content: str
    size: int
    rows_out: int
    modified: str = ""
    quarantine: QuarantineFile | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A data file and its account. A folder may have a million of them, so the account stays as bytes.

    Args:
        size: bytes of the data file; None when there is none.
        account: the sidecar's content; None when there is none or it cannot be read.
        problem: why the two are not a committed shard; None when they are.
        modified: the data file's `Stat.modified`; empty when there is none, or `compacted`.
        compacted: both files are the ones that the table's manifest was made from.
    """

    size: int | None
    account: bytes | None
    problem: str | None
    modified: str = ""
    compacted: bool = False

    @classmethod
    def of(cls, account: bytes, file: Stat | None = None, compacted: bool = False) -> Entry:
        """From the content of a sidecar, and its data file unless the manifest vouches for that; ValueError
        when it is no sidecar."""
        recorded = FACTS.decode(account).size
        if compacted:
            return cls(recorded, account, None, compacted=True)
        if file is None:
            return cls(None, account, "the sidecar has no data")
        if file.size != recorded:
            return cls(file.size, account, f"{file.size} bytes of data, its sidecar says {recorded}")
        return cls(file.size, account, None, file.modified)

    @property
    def facts(self) -> Facts | None:
        """What decides whether the shard is done; read anew each time, in a microsecond."""
        return None if self.account is None else FACTS.decode(self.account)

    @property
    def sidecar(self) -> Sidecar | None:
        """The whole account; read anew each time."""
        return None if self.account is None else Sidecar.from_bytes(self.account)


FACTS = msgspec.json.Decoder(Facts)
