"""freeze, unfreeze, end-membership, reopen, close-club, life: the life of a membership from the command line."""

from datetime import UTC, date, datetime, timedelta
from getpass import getuser
from zoneinfo import ZoneInfo

import pytest

from models.catalogue.days import last_day
from models.wording import day_of
from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid, rows, run, value
from worker.crediting import Crediting

ANN, RIVERSIDE = "ann@example.com", "Riverside"
CHICAGO = "America/Chicago"
TODAY = datetime.now(ZoneInfo(CHICAGO)).date()
WHY = ("--reason", "asked for it")


def day(after: int) -> str:
    return (TODAY + timedelta(days=after)).isoformat()


def written(after: int) -> str:
    return day_of(TODAY + timedelta(days=after))


def last_usable(spp: Spp) -> date | None:
    """The last day on which Ann's training sessions can be used, which have 30 days."""
    grants = spp("member", ANN, "--json").json["grants"]
    expires = next(row["expires_at"] for row in grants if row["item"] == "Personal Training")
    return last_day(datetime.fromisoformat(expires), CHICAGO) if expires else None


def acts(make: Make) -> object:
    return value(make, "SELECT count(*) FROM life_acts")


def test_a_membership_is_frozen_after_a_look_at_what_that_moves(paid_ann: Spp, make: Make) -> None:
    before = last_usable(paid_ann)
    assert before
    after = before + timedelta(days=10)
    wish = ["freeze", ANN, day(6), day(15)]
    planned = paid_ann(*wish, "--dry-run")
    assert planned.out == (
        f"Freeze of membership 1, from {written(6)} to {written(15)}. Nothing is changed yet.\n"
        f"  4 Personal Training sessions: usable until {day_of(after)} instead of {day_of(before)}\n"
    )
    assert (acts(make), last_usable(paid_ann)) == (0, before)
    told = paid_ann(*wish, "--dry-run", "--json").json
    assert (told["number"], told["changed"], told["waiting"]) == (None, False, 0)
    done = paid_ann(*wish, *WHY, "--json").json
    assert (done["kind"], done["membership"], done["changed"], done["undone"]) == ("freeze", 1, True, False)
    assert (done["first_day"], done["last_day"]) == (day(6), day(15))
    assert [one["what"] for one in done["moves"]] == [one["what"] for one in told["moves"]]
    assert last_usable(paid_ann) == after
    logged = rows(make, "SELECT actor, verb, origin, reason FROM actions ORDER BY id DESC LIMIT 1")
    assert logged == [(getuser(), "freeze", "command line", "asked for it")]


def test_a_freeze_ends_early_and_is_undone(gym: Spp, settings: Settings, make: Make) -> None:
    arrive(make, paid("in_1", "sub_ann", at=datetime.now(UTC) - timedelta(days=5)))
    assert Crediting(settings, make).drain() == 1
    before = last_usable(gym)
    number = gym("freeze", ANN, day(-2), *WHY, "--json").json["number"]
    assert last_usable(gym) is None
    assert "Nothing is changed yet." in gym("unfreeze", ANN, "--dry-run").out
    assert last_usable(gym) is None
    later = gym("unfreeze", ANN, "--last-day", day(4), *WHY, "--json").json
    assert (later["number"], later["last_day"]) == (number, day(4))
    ended = gym("unfreeze", ANN, *WHY)
    assert ended.out.startswith(f"Freeze of membership 1, from {written(-2)} to {written(0)}.\n")
    again = gym("unfreeze", ANN, *WHY)
    assert (again.code, "That is how it is already" in again.err) == (1, True)
    gone = gym("unfreeze", ANN, "--undo", "--freeze", str(number), *WHY)
    assert gone.out.startswith(f"Freeze of membership 1, from {written(-2)} to {written(0)}: undone.\n")
    assert last_usable(gym) == before
    assert gym("life", ANN, "--json").json == {"life": [], "waiting": 0}
    none = gym("unfreeze", ANN, *WHY)
    assert (none.code, "The membership is not frozen" in none.err) == (1, True)


def test_many_expired_sessions_come_back_only_if_their_number_is_expected(
    gym: Spp, settings: Settings, make: Make
) -> None:
    arrive(make, *(paid(f"in_{number}", "sub_ann", at=datetime.now(UTC) - timedelta(days=35)) for number in range(3)))
    assert Crediting(settings.model_copy(update={"late_credit_hours": 0}), make).drain() == 3
    wish = ["freeze", ANN, day(-20), day(-11)]
    assert gym(*wish, "--dry-run").out.endswith("  12 expired sessions can be used again.\n")
    assert "12 sessions that have expired could be used again" in gym(*wish, *WHY).err
    assert acts(make) == 0
    assert gym(*wish, *WHY, "--expected", "12", "--json").json["brought_back"] == 12


def test_of_several_freezes_one_is_named(paid_ann: Spp) -> None:
    first, second = (paid_ann("freeze", ANN, day(at), day(at + 2), *WHY, "--json").json["number"] for at in (5, 9))
    refused = paid_ann("unfreeze", ANN, "--undo", *WHY)
    assert refused.code == 1
    assert f"say which one with --freeze: {first} (from {written(5)} to {written(7)}); {second} (from" in refused.err
    assert paid_ann("unfreeze", ANN, "--undo", "--freeze", str(second), *WHY).code == 0
    assert [row["number"] for row in paid_ann("life", ANN, "--json").json["life"]] == [first]


def test_a_membership_ends_gets_another_last_day_and_is_reopened(paid_ann: Spp, make: Make) -> None:
    run(make, "UPDATE payment_terms SET on_end = 'last_day'")
    assert paid_ann("change-plan", ANN, *WHY).code == 0
    before = last_usable(paid_ann)
    planned = paid_ann("end-membership", ANN, day(5), "--dry-run")
    assert planned.out.startswith(f"End of membership 1, last day {written(5)}. Nothing is changed yet.\n")
    assert f"  8 Group Class sessions: usable until {written(5)} instead of without an end\n" in planned.out
    assert acts(make) == 0
    assert paid_ann("end-membership", ANN, day(5), *WHY).out == planned.out.replace(" Nothing is changed yet.", "")
    assert last_usable(paid_ann) == TODAY + timedelta(days=5)
    refused = paid_ann("end-membership", ANN, day(7), *WHY)
    assert (refused.code, "The membership has an end already" in refused.err) == (1, True)
    assert paid_ann("end-membership", ANN, day(7), "--change", *WHY).code == 0
    assert last_usable(paid_ann) == TODAY + timedelta(days=7)
    listed = paid_ann("life", ANN).out
    assert f"membership 1  last day {written(7)}  asked for it  {getuser()}" in listed
    assert paid_ann("reopen", ANN, "--dry-run").out.startswith(f"End of membership 1, last day {written(7)}: undone.")
    assert last_usable(paid_ann) == TODAY + timedelta(days=7)
    assert paid_ann("reopen", ANN, *WHY).code == 0
    assert last_usable(paid_ann) == before
    assert paid_ann("reopen", ANN, *WHY).code == 1


def test_a_club_is_closed_and_workers_settle_it(paid_ann: Spp, settings: Settings, make: Make) -> None:
    before = last_usable(paid_ann)
    assert before
    wish = ["close-club", RIVERSIDE, day(3), day(5), "--scope", "all"]
    planned = paid_ann(*wish, "--dry-run")
    assert planned.out == (
        f"Closure of Riverside (all sessions) from {written(3)} to {written(5)}. Nothing is changed yet.\n"
        "  1 grant of 1 member can be moved by up to 3 days.\n"
    )
    assert acts(make) == 0
    done = paid_ann(*wish, *WHY, "--json").json
    assert {name: done[name] for name in ("club", "scope", "grants", "members", "sessions", "changed")} == {
        "club": RIVERSIDE, "scope": "all", "grants": 1, "members": 1, "sessions": 4, "changed": True,
    }  # fmt: skip
    told = paid_ann("life", "--club", RIVERSIDE)
    assert "Workers have yet to settle 1 payment." in told.out
    assert paid_ann("life", ANN, "--json").json["life"][0]["club"] == RIVERSIDE
    assert last_usable(paid_ann) == before
    Crediting(settings, make).sweep()
    assert last_usable(paid_ann) == before + timedelta(days=3)
    undone = paid_ann("close-club", "#1", "--undo", str(done["number"]), *WHY)
    assert undone.out.startswith(f"Closure of Riverside (all sessions) from {written(3)} to {written(5)}: undone.\n")
    Crediting(settings, make).sweep()
    assert last_usable(paid_ann) == before
    assert paid_ann("life", "--club", RIVERSIDE, "--json").json == {"life": [], "waiting": 0}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("freeze", ANN, day(9), day(3)), 1, "is before the first"),
        (("freeze", ANN, "1999-01-01"), 1, "Check the year."),
        (("freeze", ANN, day(0), day(1200)), 1, "is longer than three years"),
        (("freeze", ANN, "soon"), 2, "'soon' is not a day."),
        (("freeze", ANN), 2, "Missing argument 'FIRST_DAY'"),
        (("freeze", "zoe@example.com", day(1)), 1, "There is no member 'zoe@example.com'."),
        (("freeze", ANN, day(1), "--membership", "2"), 1, "There is no membership of ann@example.com 2."),
        (("unfreeze", ANN, "--freeze", "404"), 1, "There is no freeze 404."),
        (("unfreeze", ANN, "--undo", "--last-day", day(1)), 2, "Give --undo or --last-day, not both."),
        (("end-membership", ANN, "1999-01-01"), 1, "Check the year."),
        (("end-membership", ANN, day(1), "--change"), 1, "There is no end of membership 1."),
        (("close-club", RIVERSIDE), 2, "Give FIRST_DAY and LAST_DAY, or --undo NUMBER."),
        (("close-club", RIVERSIDE, day(1)), 2, "Give FIRST_DAY and LAST_DAY, or --undo NUMBER."),
        (("close-club", RIVERSIDE, day(1), "--undo", "3"), 2, "Give FIRST_DAY and LAST_DAY, or --undo NUMBER."),
        (("close-club", RIVERSIDE, day(1), day(2), "--undo", "3"), 2, "Give FIRST_DAY and LAST_DAY"),
        (("close-club", RIVERSIDE, day(5), day(2)), 1, "is before the first"),
        (("close-club", RIVERSIDE, day(5), day(500)), 1, "is longer than a year"),
        (("close-club", RIVERSIDE, "--undo", "404"), 1, "There is no closure 404."),
        (("close-club", "Nowhere", day(1), day(2)), 1, "There is no club 'Nowhere'."),
    ],
)
def test_what_is_refused_changes_nothing(
    paid_ann: Spp, make: Make, words: tuple[str, ...], code: int, message: str
) -> None:
    done = paid_ann(*words, *WHY)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert acts(make) == 0


def test_an_act_needs_a_reason(paid_ann: Spp, make: Make) -> None:
    for words in (
        ("freeze", ANN, day(1)),
        ("unfreeze", ANN),
        ("end-membership", ANN, day(1)),
        ("reopen", ANN),
        ("close-club", RIVERSIDE, day(1), day(2)),
    ):
        done = paid_ann(*words)
        assert (done.code, "Missing option '--reason'" in done.err) == (2, True)
    blank = paid_ann("freeze", ANN, day(1), "--reason", " ")
    assert (blank.code, "Say why: a note is required." in blank.err) == (1, True)
    assert paid_ann("life").code == 2
    assert paid_ann("life", ANN, "--club", RIVERSIDE).code == 2
    assert acts(make) == 0


def test_a_freeze_of_somebody_else_is_not_found(paid_ann: Spp) -> None:
    number = paid_ann("freeze", "ben@example.com", day(1), *WHY, "--json").json["number"]
    done = paid_ann("unfreeze", ANN, "--freeze", str(number), *WHY)
    assert (done.code, f"There is no freeze {number}." in done.err) == (1, True)
    assert datetime.fromisoformat(paid_ann("life", "ben@example.com", "--json").json["life"][0]["recorded_at"]) < (
        datetime.now(UTC) + timedelta(minutes=1)
    )
