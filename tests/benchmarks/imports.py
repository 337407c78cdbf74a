"""How long importing takes, beside importing werkzeug, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from .measure import Figure, ratio

_TIMED = "from time import perf_counter as t; s = t(); import {}; print(t() - s)"


def seconds(module: str) -> float:
    """How long ``import module`` takes in a new interpreter."""
    command = [sys.executable, "-c", _TIMED.format(module)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """The figure of this file."""
    ours: list[float] = []
    theirs: list[float] = []
    for _round in range(max(3, int(20 * scale))):
        ours.append(seconds("ortto_capture"))
        theirs.append(seconds("werkzeug"))
    yield Figure("import ortto_capture / import werkzeug", ratio(ours, theirs), 2)
