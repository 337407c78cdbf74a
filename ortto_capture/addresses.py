"""E-mail and IP addresses, each in the one spelling that it is stored or counted by.

The law of this file: pure functions of one text. Two spellings of one address come out alike, and
what has no spelling of its own is refused. Text of any length costs little.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntoa, inet_pton

import idna

#: RFC 5321's longest path, in bytes.
MAX_ADDRESS = 254
#: DNS's longest label, in characters; an A-label is not shorter than what it stands for.
MAX_LABEL = 63
#: The longest IP address that is read: an IPv6 address has at most 45 characters, and brackets, a
#: zone and a port may come with it.
MAX_IP = 64
#: The bucket of every visitor whose IP address cannot be read.
SHARED_BUCKET = "unknown"


def normalise_address(text: str) -> str | None:
    """The one spelling of an e-mail address, or None when it is not an address.

    Trimmed, NFC, lower case in ASCII only (``casefold`` would merge people), the domain as
    A-labels; exactly one ``@``, no white space or controls, at most 254 bytes. No provider's rules.
    """
    address = _respelt(text.strip())
    # An address that a second pass changes has no one spelling: it could not be found again.
    return address if address is None or _respelt(address) == address else None


def _respelt(text: str) -> str | None:
    # NFC makes one code point of four at most; longer text is not worth normalising.
    if len(text) > 4 * MAX_ADDRESS:
        return None
    local, _, domain = unicodedata.normalize("NFC", text).partition("@")
    if not local or len(domain) > MAX_ADDRESS or any(map(_unprintable, local + domain)):
        return None
    # NFC once more: "J" and a caron have no composed form, "j" and a caron have one.
    local = unicodedata.normalize("NFC", local.translate(_LOWER))
    domain = _a_labels(domain)
    address = f"{local}@{domain}"
    return address if domain and len(address.encode()) <= MAX_ADDRESS else None


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


# All that separates labels, after NFKC.
_full_stops = re.compile("[.\u3002]")


# Most visitors share a few domains. The keys are at most MAX_ADDRESS characters long.
@lru_cache(maxsize=1_024)
def _a_labels(domain: str) -> str:
    """A domain as DNS has it (UTS 46, non-transitional), or the empty string."""
    # What checking a label costs grows with the square of its length, and the mapping may make
    # eighteen characters of one.
    if max(map(len, _full_stops.split(unicodedata.normalize("NFKC", domain)))) > MAX_LABEL:
        return ""
    try:
        # What maps to a full stop is mapped first: labels are checked as they come out.
        return idna.encode(domain, uts46=True).decode()
    except ValueError:
        return ""


def _unprintable(character: str) -> bool:
    """White space, controls, format characters, surrogates and unassigned code points."""
    return character.isspace() or unicodedata.category(character)[0] in "CZ"


def ip_bucket(address: str) -> str:
    """The bucket that an IP address is counted in.

    IPv4 as it is, unwrapped where IPv6 carries it; IPv6 by /64, which is what one customer gets;
    :data:`SHARED_BUCKET` for all else, such as the empty address of a Unix socket. A port behind
    the address is ignored, and so is a zone.
    """
    # Before the cache, which so holds 4 MB at most.
    return SHARED_BUCKET if len(address) > MAX_IP else _bucket(address)


# A request asks more than once, and a busy hour has about so many visitors.
@lru_cache(maxsize=16_384)
def _bucket(address: str) -> str:
    packed = _packed(address)
    if packed is None:
        return SHARED_BUCKET
    if len(packed) == 4:
        return inet_ntoa(packed)
    return f"{packed[:8].hex().lstrip('0') or '0'}/64"


def is_local(address: str) -> bool:
    """Tell whether an IP address is loopback, link-local or private: no visitor of the internet."""
    packed = _packed(address)
    return packed is not None and packed.startswith(_LOCAL[len(packed)])


# By length, as prefixes of bytes. `ipaddress` takes 5 µs for this, and its `is_private` also holds
# for the addresses of documentation.
_LOCAL = {
    # 10/8, 127/8, 169.254/16, 192.168/16 and 172.16/12
    4: (b"\x0a", b"\x7f", b"\xa9\xfe", b"\xc0\xa8", *(bytes([172, n]) for n in range(16, 32))),
    # ::1, fc00::/7 and fe80::/10
    16: (bytes(15) + b"\x01", b"\xfc", b"\xfd", *(bytes([0xFE, n]) for n in range(128, 192))),
}
_V4_IN_V6 = bytes(10) + b"\xff\xff"
_V6 = "([0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)"
_with_port_or_zone = re.compile(
    rf"([0-9.]+):[0-9]{{1,5}}|\[{_V6}(?:%[^\]%]+)?\](?::[0-9]{{1,5}})?|{_V6}%[^%]+"
).fullmatch


def _packed(text: str) -> bytes | None:
    """An IP address as 4 or 16 bytes; None for other text."""
    if len(text) > MAX_IP:
        return None
    text = text.strip()
    try:
        # A twentieth of the time that `ipaddress` takes.
        if ":" not in text:
            return inet_pton(AF_INET, text)
        packed = inet_pton(AF_INET6, text)
    except TimeoutError:
        # An OSError that inet_pton does not raise, but a signal handler that ends what takes long.
        raise
    except (OSError, ValueError):
        parts = _with_port_or_zone(text)
        return None if parts is None else _packed("".join(filter(None, parts.groups())))
    return packed[12:] if packed.startswith(_V4_IN_V6) else packed
