"""Mistakes of ``limiter``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ortto_capture.model import Charge, Full

from ..dicts import DictLimiter
from . import common, forgets, lets_others_in, says_it_is_away, unlocked, wrong


def counts_refused(self: DictLimiter, charges: Sequence[Charge], now: float) -> Full | None:
    for each in charges:
        if full := DictLimiter.acquire(self, [each], now):
            return full
    return None


def checks_then_counts(self: DictLimiter, charges: Sequence[Charge], now: float) -> Full | None:
    if full := self.full(charges, now):
        return full[0]
    time.sleep(0.0005)
    for each in charges:
        self.count(each, now, self.counted(each, now) + 1)
    return None


def by_month(self: DictLimiter, seconds: int, now: float) -> int:
    if seconds < 30 * 86_400:
        return DictLimiter.window(self, seconds, now)
    date = time.gmtime(now)
    return date.tm_year * 12 + date.tm_mon


def by_monday(self: DictLimiter, seconds: int, now: float) -> int:
    return math.floor((now + (3 * 86_400 if seconds == 7 * 86_400 else 0)) / seconds)


def by_midnight(self: DictLimiter, seconds: int, now: float) -> int:
    """Starts over with every day."""
    return int(now // 86_400 * 86_400 // max(1, seconds % 86_400) + now % 86_400 // seconds)


def with_the_first_charge(self: DictLimiter, seconds: int, now: float) -> int:
    first = self.own.setdefault("first", {}).setdefault(seconds, now)
    return int((now - first) // seconds)


def one_window_a_key(self: DictLimiter, charge: Charge, now: float) -> int:
    """Starts over when the window changes, whichever way."""
    last = self.own.setdefault("last", {})
    window = self.window(charge.quota.seconds, now)
    if last.setdefault((charge.key, charge.quota.seconds), window) != window:
        last[charge.key, charge.quota.seconds] = window
        for row in [row for row in self.rows if row[2] == charge.key]:
            if row[0] == charge.quota.seconds:
                del self.rows[row]
    return DictLimiter.counted(self, charge, now)


def remembers_quotas(self: DictLimiter, charge: Charge) -> int:
    amounts: dict[Any, int] = self.own.setdefault("amounts", {})
    return amounts.setdefault((charge.key, charge.quota.seconds), charge.quota.amount)


def keeps_refused(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        self.rows.setdefault(self.row(each, now), 0)


def counts_what_is_full(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        if self.counted(each, now) >= each.quota.amount:
            self.count(each, now, self.counted(each, now) + 1)


def empties(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        self.count(each, now, 0)


def goes_below_zero(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        self.rows[self.row(each, now)] = self.counted(each, now) - 1


def gives_back_to_any(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        rows = [row for row in self.rows if row[0] == each.quota.seconds and row[2] == each.key]
        for row in rows[:1]:
            self.rows[row] = max(0, self.rows[row] - 1)


def gives_back_the_latest(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        windows = [row[1] for row in self.rows if row[0] == each.quota.seconds]
        if windows:
            DictLimiter.release(self, [each], max(windows) * each.quota.seconds)


def gives_back_to_all(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for row in list(self.rows):
        if row[0] in {each.quota.seconds for each in charges} and self.rows[row]:
            self.rows[row] -= 1


def counts_as_none(self: DictLimiter, keys: Sequence[bytes]) -> None:
    for row in self.rows:
        if row[2] in keys:
            self.rows[row] = 0


def counts_every_window(self: DictLimiter, charge: Charge, now: float) -> int:
    seconds = charge.quota.seconds
    return sum(
        number
        for (length, _, key), number in self.rows.items()
        if (length, key) == (seconds, charge.key)
    )


def counts_every_length(self: DictLimiter, charge: Charge, now: float) -> int:
    lengths = {row[0] for row in self.rows}
    each = (charge._replace(quota=charge.quota._replace(seconds=length)) for length in lengths)
    return sum(self.counted(one, now) for one in each)


def counts_the_last_window(self: DictLimiter, charge: Charge, now: float) -> int:
    windows = [
        row[1] for row in self.rows if (row[0], row[2]) == (charge.quota.seconds, charge.key)
    ]
    return self.counted(charge, max(windows) * charge.quota.seconds) if windows else 0


def leaves_what_it_looked_for(self: DictLimiter, charge: Charge, now: float) -> int:
    number: int = self.rows.setdefault(self.row(charge, now), 0)
    return number


def charges_to_look(self: DictLimiter, charge: Charge, now: float) -> int:
    """Finds out by charging, and gives back one too few."""
    counted = self.counted(charge, now)
    if counted and counted < charge.quota.amount:
        self.count(charge, now, counted + 1)
    return counted


def remembers_what_was_tried(self: DictLimiter, charges: Sequence[Charge], now: float) -> None:
    for each in charges:
        if self.counted(each, now) < each.quota.amount:
            self.count(each, now, self.counted(each, now) + 1)


def forgets_where(keep: Callable[[tuple[int, int, bytes], Any], bool]) -> Any:
    def forget(self: DictLimiter, keys: Sequence[bytes]) -> None:
        latest = {
            row[0]: max(each[1] for each in self.rows if each[0] == row[0]) for row in self.rows
        }
        for row in [row for row in self.rows if row[2] in list(keys)]:
            if not keep(row, latest):
                del self.rows[row]

    return forget


mistake = partial(wrong, DictLimiter)

MISTAKES = [
    mistake("cuts keys at NUL", "keys_that_differ", key=lambda self, key: key.split(b"\0")[0]),
    mistake("cuts keys at slashes", "keys_that_differ", key=lambda self, key: key.split(b"/")[0]),
    mistake(
        "cuts keys at line ends", "keys_that_differ", key=lambda self, key: key.split(b"\n")[0]
    ),
    mistake("ignores case in keys", "keys_that_differ", key=lambda self, key: key.lower()),
    mistake(
        "replaces what is no text",
        "keys_that_differ",
        key=lambda self, key: key.decode("utf-8", "replace").encode(),
    ),
    mistake(
        "keeps ASCII",
        "keys_that_differ",
        key=lambda self, key: key.decode("ascii", "ignore").encode(),
    ),
    mistake("strips keys", "keys_that_differ", key=lambda self, key: key.strip(b" \0")),
    mistake("cuts keys at 8 bytes", "keys_that_differ", key=lambda self, key: key[:8]),
    mistake("cuts keys at 15 bytes", "keys_that_differ", key=lambda self, key: key[:15]),
    mistake("takes the tail of keys", "keys_that_differ", key=lambda self, key: key[1:]),
    mistake(
        "takes keys for patterns", "keys_that_differ", key=lambda self, key: key.split(b"*")[0]
    ),
    mistake("never says no", "counts_every_charge", full=lambda self, charges, now: []),
    mistake(
        "grants one more", "never_charged_more", amount=lambda self, charge: charge.quota.amount + 1
    ),
    mistake(
        "grants one less",
        "never_charged_more",
        amount=lambda self, charge: max(1, charge.quota.amount - 1),
    ),
    mistake("has no windows", "begins_at_every_multiple", window=lambda *_: 0),
    mistake("begins with the first charge", "begins_at_every", window=with_the_first_charge),
    mistake("begins weeks on Monday", "begins_at_every", window=by_monday),
    mistake("begins months on the 1st", "begins_at_every", window=by_month),
    mistake("begins over at midnight", "begins_at_every", window=by_midnight),
    mistake(
        "rounds the time",
        "begins_at_every",
        window=lambda self, seconds, now: round(now) // seconds,
    ),
    mistake(
        "ends windows a second late",
        "begins_at_every",
        window=lambda self, seconds, now: math.floor((now - 1) / seconds),
    ),
    mistake(
        "counts every length as one",
        "different_lengths",
        row=lambda self, charge, now: (0, self.window(86_400, now), charge.key),
    ),
    mistake("forgets the window before", "goes_back", counted=one_window_a_key),
    mistake("counts the first of a refused call", "none_is_counted", acquire=counts_refused),
    mistake("checks, then counts", "several_threads", acquire=checks_then_counts),
    mistake("has no lock", "several_threads", use=unlocked, pause=lets_others_in),
    mistake("loses counts of threads", "charge_and_release", use=unlocked, pause=lets_others_in),
    mistake(
        "counts a key once a call",
        "comes_twice_is_charged",
        acquire=lambda self, charges, now: DictLimiter.acquire(
            self, list(dict.fromkeys(charges)), now
        ),
    ),
    mistake(
        "looks before it counts a key twice",
        "comes_twice_is_charged",
        full=lambda self, charges, now: DictLimiter.full(self, list(dict.fromkeys(charges)), now),
    ),
    mistake(
        "counts the first charge alone",
        "counts_every_charge",
        acquire=lambda self, charges, now: DictLimiter.acquire(self, charges[:1], now),
    ),
    mistake(
        "takes whole seconds alone",
        "now_is_epoch_seconds",
        window=lambda self, seconds, now: int(str(now)) // seconds,
    ),
    mistake(
        "takes now for milliseconds",
        "never_charged",
        window=lambda self, seconds, now: math.floor(now * 1000 / seconds),
    ),
    mistake(
        "needs a charge",
        "no_charges",
        acquire=lambda self, charges, now: charges[0] and DictLimiter.acquire(self, charges, now),
    ),
    mistake("names the first", "longest_wait", preferred=lambda self, full: 0),
    mistake(
        "names the shortest wait", "longest_wait", preferred=lambda self, full: -full.retry_after
    ),
    mistake(
        "names the longest window",
        "may_be_that_of_the_shorter",
        preferred=lambda self, full: full.charge.quota.seconds,
    ),
    mistake(
        "names a quota that has room",
        "it_says_which",
        full=lambda self, charges, now: [
            full._replace(charge=charges[0]) for full in DictLimiter.full(self, charges, now)
        ],
    ),
    mistake(
        "waits fractions",
        "retry_after",
        wait=lambda self, seconds, now: max(1, (now // seconds + 1) * seconds - now),
    ),
    mistake(
        "rounds waits down",
        "retry_after",
        wait=lambda self, seconds, now: max(1, math.floor((now // seconds + 1) * seconds - now)),
    ),
    mistake(
        "waits a second too long",
        "retry_after",
        wait=lambda self, seconds, now: int((now // seconds + 1) * seconds - now // 1) + 1,
    ),
    mistake("waits a whole window", "retry_after", wait=lambda self, seconds, now: seconds),
    mistake(
        "says that there is no wait",
        "retry_after",
        wait=lambda self, seconds, now: round((now // seconds + 1) * seconds - now),
    ),
    mistake("leaves keys of the refused", "leaves_no_key", refused=keeps_refused),
    mistake("counts the refused", "changes_no_count", refused=counts_what_is_full),
    mistake("remembers quotas", "quota_that_was_changed", amount=remembers_quotas),
    mistake(
        "counts each quota apart",
        "quota_that_was_changed",
        row=lambda self, charge, now: (
            charge.quota.seconds,
            (self.window(charge.quota.seconds, now), charge.quota.amount),
            charge.key,
        ),
    ),
    mistake("forgets", "opened_again", reopened=forgets),
    mistake("empties the counter", "release_gives_back_charges", release=empties),
    mistake("gives nothing back", "release_gives_back_charges", release=lambda *_: None),
    mistake(
        "gives the first back",
        "release_gives_back_charges",
        release=lambda self, charges, now: DictLimiter.release(self, charges[:1], now),
    ),
    mistake(
        "gives a key back once",
        "comes_twice_twice",
        release=lambda self, charges, now: DictLimiter.release(self, list(set(charges)), now),
    ),
    mistake("gives back what it finds", "holds_now", release=gives_back_to_any),
    mistake("gives back the latest", "holds_now", release=gives_back_the_latest),
    mistake("saves up", "not_charged", release=goes_below_zero),
    mistake("gives back to others", "not_charged", release=gives_back_to_all),
    mistake("takes every window", "taken_returns", taken=counts_every_window),
    mistake("takes every length", "taken_returns", taken=counts_every_length),
    mistake("takes the last window", "taken_returns", taken=counts_the_last_window),
    mistake("does not know", "taken_returns", taken=lambda *_: 0),
    mistake(
        "says what is left",
        "taken_returns",
        taken=lambda self, charge, now: charge.quota.amount - self.counted(charge, now),
    ),
    mistake(
        "takes at most the amount",
        "amount_of_the_quota",
        taken=lambda self, charge, now: min(charge.quota.amount, self.counted(charge, now)),
    ),
    mistake("takes what was refused", "refused_is_not_taken", refused=remembers_what_was_tried),
    mistake("leaves what it looked for", "taken_changes", taken=leaves_what_it_looked_for),
    mistake("charges to look", "taken_changes", taken=charges_to_look),
    mistake("forgets no key", "forget_removes_every", forget=lambda *_: None),
    mistake(
        "forgets the first key",
        "forget_removes_every",
        forget=lambda self, keys: DictLimiter.forget(self, list(keys)[:1]),
    ),
    mistake(
        "forgets every key", "forget_removes_every", forget=lambda self, keys: self.rows.clear()
    ),
    mistake(
        "wants a list of keys",
        "forget_removes_every",
        forget=lambda self, keys: DictLimiter.forget(self, keys[0:]),
    ),
    mistake(
        "forgets one charge a key",
        "forget_removes_every",
        forget=lambda self, keys: [
            self.rows.__setitem__(row, self.rows[row] - 1) for row in self.rows if row[2] in keys
        ],
    ),
    mistake("keeps the keys it forgets", "forget_leaves_no_key", forget=counts_as_none),
    mistake(
        "forgets this window alone",
        "in_every_window",
        forget=forgets_where(lambda row, latest: row[1] != latest[row[0]]),
    ),
    mistake(
        "forgets days alone",
        "in_every_window",
        forget=forgets_where(lambda row, latest: row[0] != 86_400),
    ),
    mistake(
        "forgets days and hours alone",
        "in_every_window",
        forget=forgets_where(lambda row, latest: row[0] not in (3_600, 86_400)),
    ),
    mistake("says that it is away", "storage_full", make_room=says_it_is_away),
    mistake("has no bound", "storage_full", make_room=lambda self: None),
    mistake("answers late", "ping", ping=lambda self: time.sleep(0.3)),
    mistake("pings without a look", "ping", ping=lambda self: None),
    *common(DictLimiter, "acquire", "release", "taken", "forget"),
]
