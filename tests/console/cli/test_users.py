"""user add, list, disable, enable, password: how the first admin comes to be, and no password on a command line."""

import io
import os
import pwd
import subprocess
import sys
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher

from local.stack import ROOT
from models.catalogue.clubs import Club
from models.staff import accounts
from tests.console.conftest import Done, Spp
from tests.console.processes import SPP
from tests.worker.scene import Make, rows

PASSWORD = "correct horse"
ADA = ["ada@example.com", "--name", "Ada", "--role", "admin"]

Piped = Callable[..., Done]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: hashing that costs next to nothing."""
    monkeypatch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def piped(spp: Spp, monkeypatch: pytest.MonkeyPatch) -> Piped:
    """`spp` with a password on standard input."""

    def run(*arguments: str, stdin: bytes = PASSWORD.encode() + b"\n") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return spp(*arguments, "--password-stdin")

    return run


def has_password(make: Make, password: str) -> bool:
    with make() as session:
        return accounts.verify(accounts.find(session, "ada@example.com"), password)


def test_the_first_admin(piped: Piped, spp: Spp, make: Make) -> None:
    done = piped("user", "add", *ADA)
    assert (done.code, done.out, done.err) == (0, "ada@example.com can log in, as admin.\n", "")
    assert has_password(make, PASSWORD)
    [told] = spp("user", "list", "--json").json
    assert told.pop("created_at")
    assert told == {
        "id": 1,
        "email": "ada@example.com",
        "name": "Ada",
        "role": "admin",
        "active": True,
        "last_login_at": None,
        "clubs": None,
    }
    [(actor, verb)] = rows(make, "SELECT actor, verb FROM actions")
    assert (bool(actor), verb) == (True, "add account")


def test_an_account_is_bound_to_clubs(piped: Piped, spp: Spp, make: Make) -> None:
    piped("user", "add", *ADA)
    piped("user", "add", "zoe@example.com", "--name", "Zoe", "--role", "desk")
    with make.begin() as session:
        club = Club(name="Downtown", time_zone="America/Chicago", currency="USD")
        session.add(club)
        session.flush()
        one = str(club.id)
    assert spp("user", "clubs", "zoe@example.com", "--club", one).out == f"zoe@example.com sees club {one}.\n"
    assert [told["clubs"] for told in spp("user", "--json").json] == [None, [int(one)]]
    assert "There is no club 99" in spp("user", "clubs", "zoe@example.com", "--club", "99").err
    assert "the last active admin" in spp("user", "clubs", "ada@example.com", "--club", one).err
    assert spp("user", "clubs", "zoe@example.com").code == 2
    assert spp("user", "clubs", "zoe@example.com", "--all").out == "zoe@example.com sees all clubs.\n"
    assert [told["clubs"] for told in spp("user", "--json").json] == [None, None]


def test_the_log_names_the_user_of_the_system_and_not_of_a_variable(
    piped: Piped, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    piped("user", "add", *ADA)
    monkeypatch.setattr(os, "getuid", lambda: 4_123_456_789)
    piped("user", "add", "zoe@example.com", "--name", "Zoe", "--role", "desk")
    mine = pwd.getpwuid(os.geteuid()).pw_name
    acts = rows(make, "SELECT actor, origin FROM actions ORDER BY id")
    assert acts == [(mine, "command line"), ("user 4123456789", "command line")]


def test_the_list(piped: Piped, spp: Spp) -> None:
    assert spp("user", "list").out == "  (none)\n"
    piped("user", "add", "zoe@example.com", "--name", "Zoe", "--role", "desk")
    piped("user", "add", *ADA)
    lines = spp("user", "list").out.splitlines()
    assert [line.split()[1:5] for line in lines[2:]] == [
        ["ada@example.com", "Ada", "admin", "yes"],
        ["zoe@example.com", "Zoe", "desk", "yes"],
    ]
    assert spp("user").out.splitlines() == lines
    assert spp("user", "--json").json == spp("user", "list", "--json").json
    assert "argon2" not in spp("user", "list", "--json").out


def test_disabling(piped: Piped, spp: Spp) -> None:
    piped("user", "add", *ADA)
    piped("user", "add", "zoe@example.com", "--name", "Zoe", "--role", "desk")
    assert spp("user", "disable", "ZOE@example.com").out == "zoe@example.com is disabled.\n"
    assert [row["active"] for row in spp("user", "list", "--json").json] == [True, False]
    done = spp("user", "disable", "ada@example.com")
    assert (done.code, done.out) == (1, "")
    assert done.err == "Error: ada@example.com is the last active admin: make somebody else an admin first.\n"


def test_enabling(piped: Piped, spp: Spp) -> None:
    piped("user", "add", *ADA)
    piped("user", "add", "zoe@example.com", "--name", "Zoe", "--role", "desk")
    spp("user", "disable", "zoe@example.com")
    assert spp("user", "enable", "ZOE@example.com").out == "zoe@example.com can log in again, as desk.\n"
    assert [row["active"] for row in spp("user", "list", "--json").json] == [True, True]


def test_a_new_password(piped: Piped, make: Make) -> None:
    piped("user", "add", *ADA)
    done = piped("user", "password", "ADA@example.com", stdin="bättery staple ".encode() + b"\r\n")
    assert (done.code, done.out) == (0, "ada@example.com has a new password.\n")
    assert has_password(make, "bättery staple ")


@pytest.mark.parametrize(
    "command", [["disable", "ben@example.com"], ["disable", "\udcff"], ["enable", "ben@example.com"]], ids=ascii
)
def test_an_account_that_is_not_there(spp: Spp, command: list[str]) -> None:
    done = spp("user", *command)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: There is no staff account '")


@pytest.mark.parametrize(
    ("arguments", "stdin", "error"),
    [
        (ADA, b"short\n", "The password has 5 characters: choose one of at least 12."),
        (ADA, b"", "The password has 0 characters: choose one of at least 12."),
        (ADA, b"ada@example.com\n", "The password is the login name: choose another one."),
        (ADA, b"\xff" * 12, "The password is not valid UTF-8."),
        (["ada", *ADA[1:]], b"correct horse\n", "'ada' is not an e-mail address."),
        (["a" * 200 + ADA[0], *ADA[1:]], b"correct horse\n", "The e-mail address can have at most 200 "),
    ],
    ids=ascii,
)
def test_what_is_refused(piped: Piped, spp: Spp, arguments: list[str], stdin: bytes, error: str) -> None:
    done = piped("user", "add", *arguments, stdin=stdin)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: {error}")
    assert spp("user", "--json").json == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", *ADA, "--password", PASSWORD],
        ["add", *ADA, PASSWORD],
        ["add", "ada@example.com", "--name", "Ada", "--role", "owner"],
        ["password", "ada@example.com", PASSWORD],
        ["password", "--password-stdin"],
    ],
    ids=" ".join,
)
def test_wrong_usage(spp: Spp, arguments: list[str]) -> None:
    done = spp("user", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage:" in done.err


def test_without_a_terminal_there_is_nobody_to_ask(spp: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PASSWORD.encode())))
    done = spp("user", "add", *ADA)
    assert (done.code, done.out) == (2, "")
    assert "use --password-stdin" in done.err


def test_on_a_terminal_it_is_asked_for_twice_and_not_shown(installed: dict[str, str], make: Make) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*SPP, "user", "add", *ADA],
        cwd=ROOT,
        env=installed,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    answers = iter([b"correct horse\n", b"correct house\n", b"correct horse\n", b"correct horse\n"])
    try:
        while process.poll() is None or shown.count(b": ") < 4:
            shown += os.read(ours, 1000)
            if shown.endswith(b": "):
                os.write(ours, next(answers))
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=30) == 0
    assert shown.count(b"Password: ") == shown.count(b"The same again: ") == 2
    assert b"correct" not in shown
    assert has_password(make, PASSWORD)


def test_a_lost_second_factor_is_removed(piped: Piped, spp: Spp, make: Make) -> None:
    piped("user", "add", *ADA)
    with make.begin() as session:
        ada = accounts.find(session, "ada@example.com")
        assert ada
        ada.second_factor, ada.second_factor_step = b"s" * 20, 1
    told = "ada@example.com logs in with the password alone.\n"
    assert spp("user", "remove-second-factor", "ada@example.com").out == told
    assert rows(make, "SELECT second_factor, second_factor_step FROM staff") == [(None, None)]
    assert rows(make, "SELECT verb FROM actions ORDER BY id DESC LIMIT 1") == [("remove second factor",)]
