"""token list, make, revoke: keys for programs, from the command line."""

from datetime import UTC, datetime
from getpass import getuser

import pytest

from models.staff import accounts, tokens
from models.staff.accounts import Role
from models.staff.actions import Actor
from tests.console.conftest import Spp
from tests.worker.scene import Make, rows

DESK = "desk@example.com"


@pytest.fixture
def desk(spp: Spp, make: Make) -> Spp:
    """`spp`, where somebody works at the desk."""
    with make.begin() as session:
        accounts.add(
            session,
            email=DESK,
            name="Desk",
            role=Role.DESK,
            password="correct horse battery",
            by=Actor("tests", "here"),
            now=datetime.now(UTC),
        )
    return spp


def works(make: Make, text: str) -> bool:
    with make.begin() as session:
        return tokens.verify(session, text, datetime.now(UTC)) is not None


def test_a_token_is_printed_once_and_works(desk: Spp, make: Make) -> None:
    done = desk("token", "make", "Scheduler", "--owner", " Desk@Example.com", "--scope", "write")
    assert done.code == 0
    assert done.err == f"Token 1: Scheduler, to write as {DESK}, who is desk. It is shown this once:\n"
    text = done.out.strip()  # alone, so that a script can take it
    assert works(make, text)
    [listed] = desk("token", "--json").json
    assert desk("token", "list", "--json").json == [listed]
    assert (listed["name"], listed["scope"], listed["owner"], listed["role"]) == ("Scheduler", "write", DESK, "desk")
    assert text.startswith(listed["starts_with"])
    assert listed["last_used_at"]
    shown = desk("token").out
    assert text not in shown
    assert "Scheduler" in shown
    assert rows(make, "SELECT actor, subject FROM actions WHERE verb = 'make token'") == [
        (getuser(), f"token 1, {listed['starts_with']}..., 'Scheduler' to write, of {DESK}")
    ]


def test_one_for_reading_is_what_is_made_unless_asked_otherwise(desk: Spp) -> None:
    made = desk("token", "make", "Report", "--owner", DESK, "--json").json
    assert made.keys() == {"id", "token"}
    assert desk("token", "--json").json[0]["scope"] == "read"


def test_a_revoked_one_is_none(desk: Spp, make: Make) -> None:
    text = desk("token", "make", "Scheduler", "--owner", DESK, "--json").json["token"]
    for _ in range(2):
        assert desk("token", "revoke", "1").out == "Token 1 is revoked.\n"
    assert not works(make, text)
    assert desk("token", "--json").json[0]["revoked_at"]


def test_none(spp: Spp) -> None:
    assert spp("token").out == "  (none)\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("make", "Scheduler", "--owner", "nobody@example.com"), 1, "There is no staff account 'nobody@example.com'."),
        (("make", " ", "--owner", DESK), 1, "A name is required."),
        (("make", "n" * 201, "--owner", DESK), 1, "The name can have at most 200 characters"),
        (("make", "Scheduler"), 2, "Missing option '--owner'"),
        (("make", "Scheduler", "--owner", DESK, "--scope", "all"), 2, "'all' is not one of 'read', 'write'"),
        (("revoke", "7"), 1, "There is no token 7."),
        (("revoke", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_is_refused(desk: Spp, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = desk("token", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert desk("token", "--json").json == []
