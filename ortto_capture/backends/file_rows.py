"""What all rows of a :class:`~.store.Store` have in common.

The law of this file: every row carries a checksum of what it says, and a row that does not fit its
own is reported, never returned.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from zlib import crc32

from ..errors import BackendError
from .store import Store

#: Rows that one step of retention or of cleaning up looks at: about 5 ms.
BATCH = 500

#: Compact JSON, made by one encoder: making one takes longer than using it.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def checksum_of(*texts: str | None, numbers: str = "", values: Sequence[float] = ()) -> int | None:
    """What a row says, in 32 bits; ``numbers`` is how ``struct`` packs its ``values``.

    None when something in it has a type that we never stored.
    """
    try:
        told = "\0".join(["\1" if text is None else text for text in texts]).encode()
        return crc32(struct.pack(f"<{numbers}", *values), crc32(told))
    except (TypeError, struct.error):
        return None


def damaged(store: Store, what: str) -> BackendError:
    """What to raise for a row that does not fit its checksum."""
    return BackendError(f"{store.path}: {what} is damaged; stop, and restore a backup")


def complaint(look: Callable[[], object]) -> list[str]:
    """What went wrong while looking, if anything did."""
    try:
        look()
    except BackendError as error:
        return [str(error)]
    return []
