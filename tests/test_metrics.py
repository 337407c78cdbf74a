"""Counts for Prometheus: those that the console shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from ortto_capture import BackendError, Capture, Definition, Settings, open_backends
from ortto_capture.contrib.metrics import CaptureCollector

SETTINGS = Settings(secret_keys=["an example secret of more than 32 bytes"])


def scraped(capture: Capture) -> set[str]:
    registry = CollectorRegistry()
    registry.register(CaptureCollector(capture))
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if not line.startswith("#")}


def test_outcomes_and_notes_are_counted_by_name() -> None:
    with open_backends("memory:") as backends:
        capture = Capture(backends=backends, settings=SETTINGS)
        backends.definitions.put(Definition("act:cm:paid", "Paid"))
        assert scraped(capture) == {"ortto_capture_up 1.0"}
        for _ in range(2):
            capture.record_for("act:cm:paid", email="jo@example.com")
        capture.warn("behind-proxy")
        capture.record_for("act:cm:unknown", email="jo@example.com", on_refused="log")

        assert scraped(capture) == {
            "ortto_capture_up 1.0",
            'ortto_capture_outcomes_total{code="accepted"} 2.0',
            'ortto_capture_outcomes_total{code="not-found"} 1.0',
            'ortto_capture_notes_total{note="behind-proxy"} 1.0',
        }


def test_a_backend_that_is_away_is_a_number_too() -> None:
    class Away:
        def counts(self) -> None:
            raise BackendError("away")

    away: Any = Away()
    with open_backends("memory:") as backends:
        capture = Capture(backends=replace(backends, outcomes=away), settings=SETTINGS)
        assert scraped(capture) == {"ortto_capture_up 0.0"}


def test_backends_that_remember_no_outcomes_have_none() -> None:
    with open_backends("memory:") as backends:
        capture = Capture(backends=replace(backends, outcomes=None), settings=SETTINGS)
        assert scraped(capture) == {"ortto_capture_up 1.0"}
