"""Speed and memory, as ratios taken in one run against named peers; never part of the gate.

``scripts/bench`` prints the table. ``tests/test_benchmarks.py`` checks that what is compared does
the same job.
"""
