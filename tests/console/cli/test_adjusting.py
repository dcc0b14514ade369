"""adjust, approve, decline, extend: sessions given, taken and kept for longer from the command line."""

from datetime import UTC, datetime, timedelta
from getpass import getuser

import pytest

from console.cli import adjusting
from models.staff.actions import Actor
from tests.console.conftest import Spp
from tests.worker.scene import Make, rows

ANN = "ann@example.com"
IN_A_YEAR = (datetime.now(UTC) + timedelta(days=365)).date().isoformat()
WHY = ["--reason", "goodwill", "--note", "The coach was ill."]


def usable(spp: Spp, item: str) -> int:
    balances = spp("member", ANN, "--json").json["balances"]
    return int(next((row["usable"] for row in balances if row["item"] == item), 0))


def test_sessions_are_given_and_taken(paid_ann: Spp, make: Make) -> None:
    given = paid_ann("adjust", ANN, "Yoga", "2", *WHY, "--last-day", IN_A_YEAR)
    assert (given.code, given.err) == (0, "")
    assert given.out.startswith("2 Yoga sessions given to Ann Archer.\nAdjustment 1, idempotency key ")
    taken = paid_ann("adjust", ANN, "Yoga", "-1", *WHY)
    assert (taken.code, taken.out.partition("\n")[0]) == (0, "1 Yoga session taken from Ann Archer.")
    assert usable(paid_ann, "Yoga") == 1
    [grant] = [row for row in paid_ann("member", ANN, "--json").json["grants"] if row["item"] == "Yoga"]
    assert grant["expires_at"] > IN_A_YEAR
    assert (
        rows(make, "SELECT actor, verb, origin, reason FROM actions WHERE verb = 'adjust' ORDER BY id")
        == [(getuser(), "adjust", "command line", "goodwill: The coach was ill.")] * 2
    )


def test_the_same_key_gives_once(paid_ann: Spp) -> None:
    first, again = (paid_ann("adjust", ANN, "Yoga", "2", *WHY, "--key", "k1", "--json").json for _ in range(2))
    assert first == again
    assert (first["state"], first["expires_at"], first["idempotency_key"]) == ("applied", None, "k1")
    assert usable(paid_ann, "Yoga") == 2
    other = paid_ann("adjust", ANN, "Yoga", "3", *WHY, "--key", "k1")
    assert (other.code, other.out) == (1, "")
    assert "Idempotency key 'k1' was used before with other content" in other.err


def test_many_wait_for_a_second_person(paid_ann: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPP_ADJUST_ALONE_UP_TO", "1")
    done = paid_ann("adjust", ANN, "Yoga", "2", *WHY)
    assert done.out.startswith("2 Yoga sessions to be given to Ann Archer: waits until a second person")
    assert usable(paid_ann, "Yoga") == 0
    assert paid_ann("adjust", ANN, "Yoga", "2", *WHY, "--json").json["state"] == "waiting"


def test_a_second_person_decides(paid_ann: Spp, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPP_ADJUST_ALONE_UP_TO", "1")
    first, second = (str(paid_ann("adjust", ANN, "Yoga", "2", *WHY, "--json").json["adjustment"]) for _ in range(2))
    listed = paid_ann("adjustments", "--json").json
    assert [(row["adjustment"], row["sessions"], row["member"]) for row in listed] == [
        (int(first), 2, ANN),
        (int(second), 2, ANN),
    ]
    alone = paid_ann("approve", first)
    assert (alone.code, alone.out) == (1, "")
    assert usable(paid_ann, "Yoga") == 0
    assert paid_ann("decline", second).out == f"Adjustment {second}, +2 Yoga for Ann Archer: declined.\n"
    monkeypatch.setattr(adjusting, "operator", lambda: Actor("somebody else", "command line"))
    assert paid_ann("approve", first).out == f"Adjustment {first}, +2 Yoga for Ann Archer: applied.\n"
    assert usable(paid_ann, "Yoga") == 2
    again = paid_ann("decline", first)
    assert (again.code, again.out) == (1, "")
    assert paid_ann("approve", "404").code == 1
    assert paid_ann("adjustments").out.split()[-1] == "(none)"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((ANN, "Yoga", "0", *WHY), 1, "plus to give, minus to take"),
        ((ANN, "Yoga", "-1", *WHY), 1, "1 Yoga session asked for, 0 usable: nothing was taken."),
        ((ANN, "Towel", "1", *WHY), 1, "'Towel' is not a scheduler bucket: it has no sessions."),
        ((ANN, "Juggling", "1", *WHY), 1, "There is no item 'Juggling'."),
        (("nobody@example.com", "Yoga", "1", *WHY), 1, "There is no member 'nobody@example.com'."),
        ((ANN, "Yoga", "1", "--reason", "goodwill", "--note", " "), 1, "Say why: a note is required."),
        ((ANN, "Yoga", "1", *WHY, "--last-day", "2020-01-31"), 1, "That day is over"),
        ((ANN, "Yoga", "1", *WHY, "--last-day", "tomorrow"), 2, "'tomorrow' is not a day. Give it as 2026-03-01."),
        ((ANN, "Yoga", "1", "--reason", "because", "--note", "x"), 2, "'because' is not one of 'goodwill'"),
        ((ANN, "Yoga", "1", "--note", "x"), 2, "Missing option '--reason'"),
        ((ANN, "Yoga", "1", *WHY, "--last-week", "x"), 2, "unexpected extra argument"),
        ((ANN, "Yoga", "many", *WHY), 2, "'many' is not a valid integer"),
        ((ANN, "Yoga", "9" * 30, *WHY), 1, "at most 10000"),
    ],
)
def test_what_is_refused_changes_nothing(paid_ann: Spp, arguments: tuple[str, ...], code: int, message: str) -> None:
    before = paid_ann("member", ANN, "--json").json["entries"]
    done = paid_ann("adjust", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert paid_ann("member", ANN, "--json").json["entries"] == before


def test_a_grant_is_extended(paid_ann: Spp, make: Make) -> None:
    grants = {row["item"]: row["grant_id"] for row in paid_ann("member", ANN, "--json").json["grants"]}
    number = str(grants["Personal Training"])
    done = paid_ann("extend", number, IN_A_YEAR, "--reason", "She was ill.")
    assert (done.code, done.out) == (0, f"Grant {number} can be used until the end of {IN_A_YEAR}.\n")
    assert rows(make, "SELECT actor, reason FROM actions WHERE verb = 'extend'") == [(getuser(), "She was ill.")]
    later = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
    told = paid_ann("extend", number, later, "--reason", "Still ill.", "--json").json
    assert told["grant"] == int(number)
    assert told["expires_at"] > later


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("404", IN_A_YEAR, "--reason", "x"), 1, "There is no grant 404."),
        (("1", "2020-01-31", "--reason", "x"), 1, "choose"),
        (("1", IN_A_YEAR, "--reason", " "), 1, "Say why: a note is required."),
        (("1", IN_A_YEAR), 2, "Missing option '--reason'"),
        (("1", "soon", "--reason", "x"), 2, "'soon' is not a day. Give it as 2026-03-01."),
        (("0", IN_A_YEAR, "--reason", "x"), 2, "0 is not in the range"),
    ],
)
def test_an_extension_that_is_refused(paid_ann: Spp, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = paid_ann("extend", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
