"""For tests: a ``Capture`` of one test, a clock that stands still, contracts of backends.

The law of this package: everything here is an ordinary implementation or an ordinary test, public
and documented, so that the backends of other people can be held to what ours are held to.
"""

try:
    import pytest
except ImportError as error:  # pragma: no cover  # tested in a process of its own
    raise ImportError(
        "ortto_capture.testing needs pytest: pip install 'ortto-capture[testing]'"
    ) from error

# Before the contracts are imported, so that their asserts say what they compared.
pytest.register_assert_rewrite("ortto_capture.testing.contracts")

# After the line above, which must come first.
from .capture import TestCapture  # noqa: E402
from .contracts.backends import BackendsContract  # noqa: E402
from .contracts.definitions import DefinitionsContract  # noqa: E402
from .contracts.documents import DocumentsContract  # noqa: E402
from .contracts.erasure import ErasureContract  # noqa: E402
from .contracts.journal import JournalContract  # noqa: E402
from .contracts.limiter import RateLimiterContract  # noqa: E402
from .contracts.outcomes import OutcomesContract  # noqa: E402
from .contracts.people import PeopleContract  # noqa: E402
from .fakes import FakeClock, Ids  # noqa: E402
from .live import LiveCapture  # noqa: E402

__all__ = [
    "BackendsContract",
    "DefinitionsContract",
    "DocumentsContract",
    "ErasureContract",
    "FakeClock",
    "Ids",
    "JournalContract",
    "LiveCapture",
    "OutcomesContract",
    "PeopleContract",
    "RateLimiterContract",
    "TestCapture",
]
