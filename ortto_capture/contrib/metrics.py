"""What became of requests, for Prometheus.

The law of this file: it reads what is counted anyway, and counts nothing itself. So the numbers are
those of the console, of all processes where the backends are shared, and register once.
"""

from __future__ import annotations

from collections.abc import Iterator

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:  # pragma: no cover  # tested in a process of its own
    raise ImportError(
        "ortto_capture.contrib.metrics needs prometheus-client: "
        "pip install 'ortto-capture[metrics]'"
    ) from error

from .. import BackendError, Capture


class CaptureCollector(Collector):
    """``REGISTRY.register(CaptureCollector(capture))``, with prometheus-client's ``REGISTRY``.

    ``ortto_capture_outcomes_total{code="accepted"}`` and so on: requests by their outcome;
    ``ortto_capture_notes_total{note="subscriber-failed"}``: what was noted beside it;
    ``ortto_capture_up``: 1, or 0 while the backend that counts does not answer.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def collect(self) -> Iterator[Metric]:
        """Read the counts, as prometheus-client asks for them."""
        up = GaugeMetricFamily("ortto_capture_up", "Whether the backend that counts answers.")
        outcomes = CounterMetricFamily(
            "ortto_capture_outcomes", "Requests by their outcome.", labels=["code"]
        )
        notes = CounterMetricFamily(
            "ortto_capture_notes", "What was noted beside an outcome.", labels=["note"]
        )
        backend = self._capture.backends.outcomes
        try:
            counts = backend.counts() if backend is not None else {}
            up.add_metric([], 1)
        except BackendError:
            counts = {}
            up.add_metric([], 0)
        for name, number in counts.items():
            if name.startswith("note:"):
                notes.add_metric([name.removeprefix("note:")], number)
            else:
                outcomes.add_metric([name], number)
        yield from (up, outcomes, notes)
