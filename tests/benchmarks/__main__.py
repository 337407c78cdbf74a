"""Print the table: ``scripts/bench [part …] [--scale 0.1]``."""

from __future__ import annotations

import argparse
import sys

from . import browser, console, files, http, imports, inprocess, integrations, memory

PARTS = {
    "inprocess": inprocess.figures,
    "worst": inprocess.worst_bodies,
    "memory": memory.figures,
    "import": imports.figures,
    "integrations": integrations.figures,
    "http": http.figures,
    "file": files.figures,
    "console": console.figures,
    "browser": browser.figures,
}


def main() -> int:
    """Measure, print, and say by the exit code whether everything asked for was reached."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="make rounds shorter or longer")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    missed = 0
    sys.stdout.write(f"{'figure':<66} {'asked':>12} {'measured':>10}\n")
    for part in asked.parts or PARTS:
        for figure in PARTS[part](asked.scale):
            missed += not figure.holds
            sys.stdout.write(f"{figure}\n")
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
