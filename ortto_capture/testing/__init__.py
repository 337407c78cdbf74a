"""For tests: contracts that every backend must pass, a clock that stands still, ids that count.

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
pytest.register_assert_rewrite("ortto_capture.testing.contracts", "ortto_capture.testing.erasure")

from .contracts import (  # noqa: E402  # after the line above, which must come first
    DefinitionsContract,
    JournalContract,
    OutcomesContract,
    PeopleContract,
    RateLimiterContract,
)
from .erasure import ErasureContract  # noqa: E402
from .fakes import FakeClock, Ids  # noqa: E402

__all__ = [
    "DefinitionsContract",
    "ErasureContract",
    "FakeClock",
    "Ids",
    "JournalContract",
    "OutcomesContract",
    "PeopleContract",
    "RateLimiterContract",
]
