"""``token``: made, listed, removed."""

from __future__ import annotations

import pytest

from ortto_capture.console.tokens import bearer_of

from .conftest import Account, Shell


def test_a_token_is_printed_once_and_opens_what_it_says(shell: Shell, account: Account) -> None:
    token = shell.ok("token", "new", "--name", "Jo", "--scope", "pii", "--scope", "read").strip()
    documents = account.backends.documents
    assert documents is not None

    found = bearer_of(documents, token)

    assert found is not None
    assert found.name == "Jo"
    assert sorted(found.scopes) == ["pii", "read"]
    assert [(each["name"], each["scopes"]) for each in shell.json("token", "list")] == [
        ("Jo", ["read", "pii"])
    ]
    assert token not in shell.ok("token", "list")
    assert token.encode() not in b"".join(
        each.read_bytes() for each in shell.data.rglob("*") if each.is_file()
    )


def test_a_removed_token_opens_nothing(shell: Shell, account: Account) -> None:
    token = shell.ok("token", "new", "--name", "Jo", "--scope", "read").strip()

    assert "removed" in shell.ok("token", "remove", "Jo")

    assert bearer_of(account.backends.documents, token) is None
    assert shell.ok("token", "list") == ""
    assert shell("token", "remove", "Jo").exit_code == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--name", "Jo", "--scope", "read"], 1),
        (["--name", "Al"], 2),
        (["--scope", "read"], 2),
        (["--name", "Al", "--scope", "all"], 2),
        (["--name", "<b>", "--scope", "read"], 3),
    ],
)
@pytest.mark.usefixtures("account")
def test_a_wrong_token_is_not_made(shell: Shell, options: list[str], code: int) -> None:
    shell.ok("token", "new", "--name", "Jo", "--scope", "read")

    assert shell("token", "new", *options).exit_code == code
    assert len(shell.json("token", "list")) == 1
