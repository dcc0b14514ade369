"""review, link, quarantine, reconcile: no payment is left behind, and nothing is decided without a trace."""

import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import sample_gym
from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid, paid_now, rows, states, value
from worker.crediting import Crediting

ANN = "ann@example.com"


def acts(make: Make) -> list[Any]:
    """What was done since the sample gym was made."""
    made = f"actor = '{sample_gym.BY.name}'"
    return rows(make, f"SELECT verb, subject, reason FROM actions WHERE NOT {made} ORDER BY id")


@pytest.fixture
def waiting(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Two payments of a subscription that nobody has, five days and a minute old."""
    days_ago = datetime.now(UTC) - timedelta(days=5)
    arrive(make, paid("in_old", "sub_dora", at=days_ago), paid_now("in_new", "sub_dora"))
    Crediting(settings, make).drain()
    return gym


class TestUnmatched:
    def test_they_are_shown_with_what_they_wait_for(self, waiting: Spp) -> None:
        told = waiting("review", "--reason", "unmatched", "--json").json
        assert {(row["endpoint"], row["payment"], row["amount_minor"], row["currency"]) for row in told} == {
            ("stripe", "in_old", 8900, "USD"),
            ("stripe", "in_new", 8900, "USD"),
        }
        assert told[0]["waits_for"] == ["sub_dora"]
        assert told[0]["reasons"] == {"unmatched": "no membership has sub_dora"}
        shown = waiting("review").out
        five_days_ago = datetime.now(UTC) - timedelta(days=5)
        assert f"$89.00, {five_days_ago:%b} {five_days_ago.day}" in shown
        assert "stripe:in_old" in shown
        assert "unmatched: no membership has sub_dora" in shown
        assert "2 payments in review: 2 unmatched." in shown
        assert "spp link ENDPOINT:REFERENCE EMAIL" in shown

    def test_every_member_whom_it_is_for_is_shown(self, gym: Spp, settings: Settings, make: Make) -> None:
        for email in (ANN, "ben@example.com"):
            assert gym("link", "stripe:sub_family", email, "--share").code == 0
        arrive(make, paid("in_1", "sub_family", at=datetime.now(UTC)))
        Crediting(settings, make).drain()
        (row,) = gym("review", "--json").json
        assert [one["member"] for one in row["memberships"]] == ["Ann Archer", "Ben Bishop"]
        shown = gym("review").out
        assert "Ann Archer, Ben Bishop" in shown
        assert "4 Group Class, 2 Personal Training to Ann Archer; 2 Personal Training, 3 Yoga to Ben Bishop" in shown

    def test_none(self, gym: Spp) -> None:
        assert gym("review").out == "  (none)\n"

    def test_who_paid_is_said_where_the_processor_says_it(self, gym: Spp, settings: Settings, make: Make) -> None:
        who = {"customer_name": "Dora Diaz", "customer_email": "dora@example.com"}
        arrive(make, paid("in_1", "sub_dora", at=datetime.now(UTC), **who))
        Crediting(settings, make).drain()
        (row,) = gym("review", "--json").json
        assert row["payer"] == {"name": "Dora Diaz", "email": "dora@example.com", "description": None}
        assert "Dora Diaz, dora@example.com" in gym("review").out

    def test_linking_settles_all_that_waited(self, waiting: Spp, make: Make) -> None:
        os.environ["SPP_OPERATOR"] = "Ada"
        done = waiting("link", "stripe:sub_dora", ANN, "--json")
        assert done.json["waiting_payments_settled"] == 2
        assert waiting("review", "--json").json == []
        grants = waiting("member", ANN, "--json").json["grants"]
        assert sorted((row["payment"], row["quantity"]) for row in grants) == [
            ("in_new", 4),
            ("in_new", 8),
            ("in_old", 4),
            ("in_old", 8),
        ]
        # The old one was credited late, so its days count from today, and the new one's from its payment.
        expires = {row["payment"]: row["expires_at"] for row in grants if row["quantity"] == 4}
        assert expires["in_old"] >= expires["in_new"]
        notes = [row["note"] for row in waiting("member", ANN, "--json").json["entries"] if row["payment"] == "in_old"]
        assert any("credited late" in (note or "") for note in notes)
        assert acts(make) == [("add billing reference", "sub_dora on stripe to membership 1", None)]
        [(actor, origin, email)] = rows(
            make,
            "SELECT a.actor, a.origin, m.email FROM actions a JOIN members m ON m.id = a.member_id ORDER BY a.id DESC"
            " LIMIT 1",
        )
        assert (actor, origin, email) == (pwd.getpwuid(os.getuid()).pw_name, "command line, for Ada", ANN)

    def test_without_late_credit_protection_days_count_from_the_payment(
        self, waiting: Spp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPP_LATE_CREDIT_HOURS", "0")
        waiting("link", "stripe:sub_dora", ANN)
        expires = {
            row["payment"]: datetime.fromisoformat(row["expires_at"])
            for row in waiting("member", ANN, "--json").json["grants"]
            if row["expires_at"]
        }
        assert timedelta(days=4) < expires["in_new"] - expires["in_old"] < timedelta(days=6)

    def test_all_of_them_however_many(self, gym: Spp, settings: Settings, make: Make) -> None:
        arrive(make, *(paid_now(f"in_{number}", "sub_dora") for number in range(501)))
        Crediting(settings, make).drain()
        assert gym("link", "stripe:sub_dora", ANN, "--json").json["waiting_payments_settled"] == 501
        assert gym("review", "--json").json == []

    def test_again_changes_nothing(self, waiting: Spp) -> None:
        waiting("link", "stripe:sub_dora", ANN)
        done = waiting("link", "stripe:sub_dora", ANN)
        assert (done.code, "0 waiting payments" in done.out) == (0, True)

    def test_of_a_member_with_two_memberships_one_is_named(self, waiting: Spp) -> None:
        waiting(
            "sign-up",
            "--member",
            ANN,
            "--name",
            "Ann",
            "--club",
            "Riverside",
            "--offer",
            "All In",
            "--term",
            "Monthly",
            "--pick",
            "Personal Training",
            "--pick",
            "Yoga",
        )
        done = waiting("link", "stripe:sub_dora", ANN)
        assert done.code == 1
        assert "several memberships, say which one: 1 (All In, Riverside), 4" in done.err
        assert waiting("link", "stripe:sub_dora", ANN, "--membership", "4", "--json").json["membership"] == 4
        items = {row["item"] for row in waiting("member", ANN, "--json").json["balances"] if row["usable"]}
        assert items == {"Personal Training", "Yoga"}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nowhere:sub_dora", ANN], "There is no endpoint 'nowhere'"),
            (["stripe:sub_dora", "nobody@example.com"], "There is no member 'nobody@example.com'"),
            (["stripe:sub_dora", ANN, "--membership", "2"], "There is no membership of ann@example.com 2"),
            (["stripe:sub_ben", ANN], "already belongs to membership 2."),
        ],
    )
    def test_what_is_refused(self, waiting: Spp, make: Make, arguments: list[str], said: str) -> None:
        done = waiting("link", *arguments)
        assert (done.code, done.out) == (1, "")
        assert said in done.err
        assert len(waiting("review", "--json").json) == 2
        assert acts(make) == []

    def test_what_another_membership_has_is_shared_if_that_is_said(
        self, waiting: Spp, settings: Settings, make: Make
    ) -> None:
        waiting("link", "stripe:sub_dora", ANN)
        assert waiting("link", "stripe:sub_dora", "ben@example.com").code == 1
        assert waiting("link", "stripe:sub_dora", "ben@example.com", "--share").code == 0
        arrive(make, paid("in_shared", "sub_dora", at=datetime.now(UTC) - timedelta(days=9)))
        Crediting(settings, make).drain()
        for email, half in ((ANN, [2, 4]), ("ben@example.com", [2, 3])):
            grants = waiting("member", email, "--json").json["grants"]
            assert sorted(row["quantity"] for row in grants if row["payment"] == "in_shared") == half

    def test_a_reference_of_no_form(self, waiting: Spp) -> None:
        assert waiting("link", "sub_dora", ANN).code == 2


class TestAccept:
    def test_one_leaves_the_list_with_a_reason(self, waiting: Spp, make: Make) -> None:
        done = waiting("accept", "stripe:in_old", "--reason", "the cafe's")
        assert (done.code, done.out) == (0, "stripe:in_old: accepted.\n")
        assert [row["payment"] for row in waiting("review", "--json").json] == ["in_new"]
        [(verb, subject, reason)] = acts(make)
        assert (verb, reason) == ("accept payment", "the cafe's")
        assert "in_old on stripe" in subject

    def test_all_of_a_reason_if_they_are_as_many_as_expected(self, waiting: Spp) -> None:
        asked = ["accept", "--all", "unmatched", "--reason", "the cafe's"]
        done = waiting(*asked, "--expected", "3")
        assert (done.code, "There are 2 now, not the 3" in done.err) == (1, True)
        assert waiting(*asked, "--expected", "2", "--endpoint", "standard").code == 1
        assert len(waiting("review", "--json").json) == 2
        assert waiting(*asked, "--expected", "2", "--json").json == {"accepted": 2}
        assert waiting("review", "--json").json == []

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["stripe:in_nowhere", "--reason", "x"], 1),
            (["stripe:in_old", "--reason", " "], 1),
            (["stripe:in_old"], 2),
            (["--reason", "x"], 2),
            (["--all", "unmatched", "--reason", "x"], 2),
            (["--all", "everything", "--expected", "2", "--reason", "x"], 2),
            (["stripe:in_old", "--all", "unmatched", "--expected", "2", "--reason", "x"], 2),
            (["in_old", "--reason", "x"], 2),
        ],
    )
    def test_what_is_refused(self, waiting: Spp, arguments: list[str], code: int) -> None:
        assert waiting("accept", *arguments).code == code
        assert len(waiting("review", "--json").json) == 2


class TestNotDues:
    def test_what_is_marked_gives_nothing_and_needs_no_review_until_it_is_undone(
        self, waiting: Spp, settings: Settings, make: Make
    ) -> None:
        planned = waiting("not-dues", "stripe:sub_dora", "--dry-run")
        assert "2 payments of 0 members are judged again: no sessions move. Nothing is changed yet." in planned.out
        assert "Nobody was ever billed by it" in waiting("not-dues", "stripe:sub_typo", "--dry-run").out
        assert waiting("not-dues", "--json").json == []
        done = waiting("not-dues", "stripe:sub_dora", "--reason", "the cafe's")
        assert (done.code, "stripe:sub_dora is marked as not dues" in done.out) == (0, True)
        Crediting(settings, make).sweep()
        assert waiting("review", "--json").json == []
        (mark,) = waiting("not-dues", "--json").json
        assert (mark["endpoint"], mark["reference"]) == ("stripe", "sub_dora")
        assert waiting("not-dues", "stripe:sub_dora", "--undo", "--reason", "Dora is ours").code == 0
        Crediting(settings, make).sweep()
        assert len(waiting("review", "--json").json) == 2
        assert [verb for verb, *_ in acts(make)] == ["mark as not dues", "mark as dues again"]

    def test_what_is_refused(self, waiting: Spp) -> None:
        assert waiting("not-dues", "stripe:sub_dora").code == 2
        assert "There is no endpoint 'nowhere'" in waiting("not-dues", "nowhere:x", "--reason", "x").err
        assert "There is no mark" in waiting("not-dues", "stripe:x", "--undo", "--reason", "x").err
        assert waiting("not-dues", "--json").json == []


@pytest.fixture
def conflict(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Ann's payment of 89.00 was told, and then, under the same event id, of 1.00."""
    a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    arrive(make, *(paid("in_1", "sub_ann", at=a_minute_ago, amount_paid=amount) for amount in (8900, 100)))
    Crediting(settings, make).drain()
    return gym


class TestQuarantine:
    def test_it_is_listed(self, conflict: Spp) -> None:
        [row] = conflict("quarantine", "--json").json
        assert (row["id"], row["event_id"], row["conflicts_with"]) == (2, "evt_in_1", 1)
        listed = conflict("quarantine")
        assert "the same id with other content than event 1" in listed.out
        assert "`spp quarantine show ID`, then `release ID --reason TEXT`" in listed.err

    def test_the_two_bodies_stand_side_by_side(self, conflict: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        lines = conflict("quarantine", "show", "2").out.splitlines()
        assert [line.split() for line in lines if " | " in line] == [
            ['"amount_paid":', "8900,", "|", '"amount_paid":', "100,"]
        ]
        [title] = [line for line in lines if line.startswith("event 1, webhook, ")]
        assert "event 2, webhook, " in title
        told = conflict("quarantine", "show", "2", "--json").json
        bodies = [json.loads(told[name])["data"]["object"] for name in ("first_body", "body")]
        assert [body["amount_paid"] for body in bodies] == [8900, 100]
        assert conflict("events", "show", "2").out.splitlines() == lines

    def test_a_body_that_is_no_json_is_shown(self, gym: Spp, make: Make) -> None:
        arrive(make, b'\xff{"password": "hunter2')
        shown = gym("quarantine", "show", "1").out
        assert "unparsable" in shown
        assert '\N{REPLACEMENT CHARACTER}{"password": "****' in shown

    def test_released_it_counts_as_far_as_it_differs(self, conflict: Spp, settings: Settings, make: Make) -> None:
        done = conflict("quarantine", "release", "2", "--reason", "the gym says so")
        assert (done.code, done.out) == (0, "Event 2 is due again.\n")
        assert Crediting(settings, make).drain() == 1
        assert states(make) == {"processed": 2}
        assert value(make, "SELECT count(*) FROM payment_facts") == 2
        assert [row["usable"] for row in conflict("member", ANN, "--json").json["balances"]] == [8, 4]
        assert acts(make) == [("release", "event 2", "the gym says so")]

    def test_discarded_it_is_kept_with_the_reason(self, conflict: Spp, make: Make) -> None:
        done = conflict("quarantine", "discard", "2", "--reason", "a test of theirs", "--json")
        assert done.json == {"events": [2]}
        assert conflict("quarantine", "--json").json == []
        [(state, reason)] = rows(make, "SELECT state, reason FROM webhook_events WHERE id = 2")
        assert state == "ignored"
        assert reason.startswith("discarded: a test of theirs; the same id with other content")
        assert acts(make) == [("discard", "event 2", "a test of theirs")]

    @pytest.mark.parametrize("verb", ["release", "discard"])
    def test_only_what_is_in_quarantine(self, conflict: Spp, make: Make, verb: str) -> None:
        done = conflict("quarantine", verb, "1", "2", "--reason", "why not")
        assert done.code == 1
        assert "Event 1 cannot be" in done.err
        assert "it is processed. Nothing was changed." in done.err
        assert states(make) == {"processed": 1, "quarantined": 1}
        assert acts(make) == []
        assert conflict("quarantine", verb, "2").code == 2

    def test_nothing_in_it(self, gym: Spp) -> None:
        assert gym("quarantine").out == "  (none)\n"
        assert "There is no event 7" in gym("quarantine", "show", "7").err


def test_the_action_log_refuses_changes(conflict: Spp, make: Make) -> None:
    conflict("quarantine", "discard", "2", "--reason", "a test of theirs")
    for change in ("UPDATE actions SET actor = 'me'", "DELETE FROM actions", "TRUNCATE actions CASCADE"):
        with pytest.raises(Exception, match="append-only"), make.begin() as session:
            session.connection().exec_driver_sql(change)
