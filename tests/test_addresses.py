"""Addresses have one spelling: what is stored is found again, and visitors are counted apart."""

from __future__ import annotations

import re
import socket
import sys
import unicodedata
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ortto_capture import Capture, Settings, open_backends
from ortto_capture.addresses import (
    MAX_ADDRESS,
    MAX_IP,
    SHARED_BUCKET,
    ip_bucket,
    is_local,
    normalise_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("user@emaildomain.com", "user@emaildomain.com"),
        ("  User@EmailDomain.COM\n", "user@emaildomain.com"),
        ("a.b+tag@example.com", "a.b+tag@example.com"),
        ("Ünal@example.com", "Ünal@example.com"),
        ("u\N{COMBINING DIAERESIS}@example.com", "ü@example.com"),
        ("x@Bücher.example", "x@xn--bcher-kva.example"),
        ("x@XN--BCHER-KVA.example", "x@xn--bcher-kva.example"),
        ("bob@straße.de", "bob@xn--strae-oqa.de"),
        ("bob@strasse.de", "bob@strasse.de"),
        ("straße@example.com", "straße@example.com"),
        ("ſ@example.com", "ſ@example.com"),
        # NFC itself makes an ASCII letter of the Kelvin sign.
        ("\N{KELVIN SIGN}@example.com", "k@example.com"),
        ("J\N{COMBINING CARON}ura@x.de", "\N{LATIN SMALL LETTER J WITH CARON}ura@x.de"),
        ("user@example\N{IDEOGRAPHIC FULL STOP}com", "user@example.com"),
        ("user@ｅxample.com", "user@example.com"),
        ("a" * 242 + "@example.com", "a" * 242 + "@example.com"),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert normalise_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "@example.com",
        "user@",
        "a@b@example.com",
        "us er@example.com",
        "user@exa mple.com",
        "user\t@example.com",
        "user\0@example.com",
        "user\N{ZERO WIDTH SPACE}@example.com",
        "user@example\N{RIGHT-TO-LEFT OVERRIDE}.com",
        "user\ud800@example.com",
        "user@\ud800.com",
        "user@a..example",
        "user@a\N{ONE DOT LEADER}.example",
        "user@a\N{HORIZONTAL ELLIPSIS}example",
        "user@my_host.example",
        "user@[192.0.2.1]",
        "user@xn--a",
        "user@xn--.example",
        "user@\N{PILE OF POO}.example",
        "user@" + "a" * 64 + ".example",
        "user@" + "a." * 150 + "example",
        "a" * 243 + "@example.com",
        "ü" * 122 + "@example.com",
        "a" * 70_000 + "@example.com",
        "user@" + "a" * 70_000,
        "user@exa\N{FULLWIDTH COMMERCIAL AT}mple.com",
        "user@" + ".".join(["ü"] * 60),
        "user@" + "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 80,
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert normalise_address(text) is None


def is_sound(address: str) -> bool:
    """Whether an address is one that can be stored."""
    local, at, domain = address.partition("@")
    return (
        bool(local and at)
        and len(address.encode()) <= MAX_ADDRESS
        and unicodedata.is_normalized("NFC", address)
        and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.?", domain) is not None
        and re.search(r"[A-Z\s@\0]", local) is None
    )


def stands_still(text: str) -> bool:
    """Whether ``text`` is refused, or has a spelling that is its own."""
    address = normalise_address(text)
    return address is None or (is_sound(address) and normalise_address(address) == address)


letters = st.text(max_size=40)
ascii_text = st.text("abcABC019.-_@ +", max_size=40)


@given(letters | ascii_text, letters | ascii_text)
def test_normalising_twice_changes_nothing(local: str, domain: str) -> None:
    assert stands_still(f"{local}@{domain}")


@given(letters, st.sampled_from(["example.com", "Bücher.example"]))
def test_spellings_that_unicode_holds_equal_are_one_address(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    forms = {normalise_address(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert len(forms) == 1


#: What stands at the beginning, in the middle and at the end of the parts below: letters of several
#: scripts, what looks like ASCII, what becomes several characters, what becomes none, dots.
PIECES = [
    "", "a", "Z", "9", "-", "_", ".", "..", "+", "ß", "ẞ", "ς", "Σ", "ſ", "İ", "ı", "ŀ", "ǆ", "ﬁ",
    "é", "e\u0301", "J\u030c", "ǰ", "\u0301", "\u0345", "q\u0323\u0307", "\u212a", "\u212b", "ｅ",
    "①", "½", "⒈", "․", "…", "。", "．", "｡", "＠", "℀", "日本", "한", "\u1112\u1161\u11ab", "א",
    "ب", "١", "ک\u200cک", "क्\u200dष", "·", "l·l", "\u00ad", "\ufe0f", "\u034f", "\u115f", "🎈",
    "xn--", "xn--a", "xn--bcher-kva", "XN--ZCA", "\u3164", "\ue000", "\U000e0041",
]  # fmt: skip


def test_nine_thousand_addresses_stand_still_and_are_found_again_by_what_is_stored() -> None:
    """Also by what was typed, and by nothing that comes out as another address."""
    capture = Capture(
        backends=open_backends("memory:"),
        settings=Settings(secret_keys=["an example secret of more than 32 bytes"]),
    )
    texts = [
        *(f"u{one}{other}@x.de" for one, other in product(PIECES, PIECES)),
        *(f"u@{one}{other}.de" for one, other in product(PIECES, PIECES)),
        *(f"u@a{one}{other}" for one, other in product(PIECES, PIECES)),
    ]
    assert len(texts) > 9_000
    accepted = 0
    for text in texts:
        assert stands_still(text), ascii(text)
        address = normalise_address(text)
        if address is None:
            continue
        accepted += 1
        capture.identify(email=text)
        stored = capture.person(text)
        assert stored is not None, ascii(text)
        assert stored.email == address, ascii(text)
        assert capture.person(address) == stored, ascii(text)
    assert accepted > 2_000


#: Every code point that compatibility makes a full stop of, or of which it makes several characters
#: with one among them.
DOTS = [
    chr(point)
    for point in range(128, sys.maxunicode + 1)
    if not 0xD800 <= point < 0xE000 and "." in unicodedata.normalize("NFKC", chr(point))
]


def test_what_maps_to_a_full_stop_leaves_no_empty_label() -> None:
    assert len(DOTS) >= 25
    for dot in DOTS:
        for text in (
            f"u@a{dot}.ru",
            f"u@a{dot}ru",
            f"u@{dot}ru",
            f"u@a.ru{dot}",
            f"u@a{dot}{dot}b",
        ):
            address = normalise_address(text)
            assert address is None or ".." not in address, ascii(text)
            assert stands_still(text), ascii(text)


# -- IP addresses


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:5678", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("2001:db8:1:2::1", "20010db800010002/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "20010db800010002/64"),
        ("[2001:db8:1:2::1]", "20010db800010002/64"),
        ("[2001:DB8:1:2::1]:65535", "20010db800010002/64"),
        ("fe80::1%eth0", "fe80000000000000/64"),
        ("[fe80::1%eth0]:80", "fe80000000000000/64"),
        ("::1", "0/64"),
        ("", SHARED_BUCKET),
        ("unix:", SHARED_BUCKET),
        ("None", SHARED_BUCKET),
        ("203.0.113.7:", SHARED_BUCKET),
        ("203.0.113.7:http", SHARED_BUCKET),
        ("203.0.113.7:123456", SHARED_BUCKET),
        ("203.0.113.256", SHARED_BUCKET),
        ("203.0.113.07", SHARED_BUCKET),
        ("[203.0.113.7]:80", SHARED_BUCKET),
        ("[2001:db8::1", SHARED_BUCKET),
        ("2001:db8::1]:80", SHARED_BUCKET),
        ("[[::1]:80]:80", SHARED_BUCKET),
        ("[::1]:80%eth0", SHARED_BUCKET),
        ("1.2.3.4%eth0", SHARED_BUCKET),
        ("fe80::1%", SHARED_BUCKET),
        ("203.0.113.7, 198.51.100.9", SHARED_BUCKET),
        ("<script>", SHARED_BUCKET),
        ("203.0.113.7\0", SHARED_BUCKET),
        ("\ud800", SHARED_BUCKET),
        ("٢٠٣.0.113.7", SHARED_BUCKET),
        ("203.0.113.7" + " " * MAX_IP, SHARED_BUCKET),
        (":" * 100_000, SHARED_BUCKET),
    ],
)
def test_addresses_are_counted_in_these_buckets(address: str, bucket: str) -> None:
    """Contract §5: IPv6 by /64, IPv4 unwrapped, a port read over, all else in one bucket."""
    assert ip_bucket(address) == bucket


def by_ipaddress(address: str) -> str:
    """The bucket, as the standard library reads addresses: without ports."""
    try:
        ip = ip_address(address.strip())
    except ValueError:
        return SHARED_BUCKET
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return f"{int(ip) >> 64:x}/64"
        ip = ip.ipv4_mapped
    return str(ip)


octets = st.sampled_from(["0", "1", "255", "256", "01", "", "1.", "x"]) | st.integers(0, 299).map(
    str
)
quads = st.lists(octets, min_size=3, max_size=5).map(".".join)
groups = st.sampled_from(["", "0", "1", "ffff", "FFFF", "0000", "00001", "db8", "g"])
colons = st.lists(groups | quads, min_size=1, max_size=9).map(":".join)
zones = st.sampled_from(["", "", "", "%eth0", "%", "%a%b", "%[x]", " "])
spelt = (
    st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map(lambda ip: ip.exploded)
    | st.ip_addresses(v=4).map("::ffff:{}".format)
    | quads
    | colons
    | st.builds("{}::{}".format, colons, colons)
    | st.text("0123456789abcdefABCDEFx:.%[]/ \0é", max_size=45)
)


@given(spelt, zones)
@example("1:2:3:4:5:6:7::", "")
@example("::2:3:4:5:6:7:8", "")
@example("1:2:3:4::5:6:7:8", "")
@example("::1.2.3.4", "%1")
def test_every_spelling_without_a_port_is_read_as_the_standard_library_reads_it(
    address: str, zone: str
) -> None:
    text = address + zone
    has_port = re.fullmatch(r"\s*([0-9.]+:[0-9]{1,5}|\[.*\](:[0-9]{1,5})?)\s*", text, re.DOTALL)
    if len(text) <= MAX_IP and not has_port:
        assert ip_bucket(text) == by_ipaddress(text)


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_a_port_changes_no_bucket(address: object, port: int) -> None:
    text = f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"
    assert ip_bucket(text) == ip_bucket(str(address)) != SHARED_BUCKET


LOCAL = [
    ip_network(each)
    for each in (
        *("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]


def test_loopback_and_private_addresses_are_local_and_their_neighbours_are_not() -> None:
    for network in LOCAL:
        first, last = network[0], network[-1]
        assert is_local(str(first))
        assert is_local(str(last))
        assert not is_local(str(first - 1))
        assert not is_local(str(last + 1))
    assert is_local("127.0.0.1:8000")
    assert is_local("[::1]:8000")
    assert is_local("::ffff:10.0.0.1")
    assert not is_local("203.0.113.7")
    assert not is_local("")
    assert not is_local("127.0.0.1" + " " * MAX_IP)


@given(st.ip_addresses())
def test_other_addresses_are_not_local(address: object) -> None:
    text = str(address)
    assert is_local(text) == any(ip_address(text) in network for network in LOCAL)


def test_a_signal_handlers_time_out_is_not_taken_for_an_address_that_cannot_be_read() -> None:
    """It reaches its own thread, and the visitor's bucket is not remembered as the shared one."""

    def interrupt(_frame: object, event: str, function: object) -> None:
        if event == "c_return" and function is socket.inet_pton:
            raise TimeoutError

    sys.setprofile(interrupt)
    try:
        with pytest.raises(TimeoutError):
            ip_bucket("198.51.100.77")
    finally:
        sys.setprofile(None)

    assert ip_bucket("198.51.100.77") == "198.51.100.77"
