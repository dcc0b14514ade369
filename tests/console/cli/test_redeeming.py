"""redeem with its occasion, redemption, why-not."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.catalogue import clubs, days
from models.wording import day_of
from tests.console.conftest import Spp
from tests.worker.scene import Make

ANN = "ann@example.com"


def test_a_redemption_says_its_occasion_and_is_found_by_its_key(paid_ann: Spp) -> None:
    said = ["--class", "Pilates", "--class-reference", "class-88", "--trainer", "Kim", "--club", "Riverside"]
    done = paid_ann("redeem", ANN, "Group Class", *said, "--note", "Mat of her own", "--key", "booking-77")
    assert (done.code, done.err) == (0, "")
    shown = paid_ann("member", ANN)
    assert "redemption 1, Pilates, with Kim, at Riverside, by " in shown.out
    assert "Mat of her own" in shown.out
    paid_ann("give-back", "1", "--key", "cancel-77")
    for key in ("booking-77", "cancel-77"):
        found = paid_ann("redemption", key, "--json").json
        assert (found["redemption"], found["member"], found["item"], found["returned"]) == (1, ANN, "Group Class", 1)
        assert (found["class_name"], found["club"], found["note"]) == ("Pilates", "Riverside", "Mat of her own")
    assert "trainer: Kim" in paid_ann("redemption", "booking-77").out
    missing = paid_ann("redemption", "never")
    assert (missing.code, missing.out) == (1, "")
    assert "There is no redemption with the key 'never'." in missing.err


def test_it_says_what_is_left_and_until_when(paid_ann: Spp) -> None:
    def first_line(*command: str) -> str:
        return str(paid_ann(*command).out.splitlines()[0])

    assert first_line("redeem", ANN, "group class", "2") == "Ann Archer has 6 Group Class left, which never expire."
    assert first_line("give-back", "1", "--quantity", "1") == "Ann Archer has 7 Group Class left, which never expire."
    grants = paid_ann("member", ANN, "--json").json["grants"]
    (training,) = (row for row in grants if row["item"] == "Personal Training")
    last_day = day_of(days.last_day(datetime.fromisoformat(training["expires_at"]), "America/Chicago"))
    said = first_line("redeem", ANN, "Personal Training", "3")
    assert said == f"Ann Archer has 1 Personal Training left, usable until {last_day}."
    paid_ann("adjust", ANN, "Personal Training", "2", "--reason", "goodwill", "--note", "a class fell out")
    said = paid_ann("give-back", "3", "--quantity", "1", "--json").json["left"]
    assert said == f"Ann Archer has 4 Personal Training left: 2 usable until {last_day}, the others longer."


def test_a_redemption_is_dated_back(paid_ann: Spp) -> None:
    (grant,) = (row for row in paid_ann("member", ANN, "--json").json["grants"] if row["item"] == "Group Class")
    at = datetime.fromisoformat(grant["effective_at"]) + timedelta(milliseconds=1)
    assert paid_ann("redeem", ANN, "Group Class", "--at", at.isoformat()).code == 0
    assert paid_ann("member", ANN, "--json").json["entries"][-1]["occurred_at"] == at.isoformat()


def test_sessions_that_are_not_good_at_the_club_are_passed_over(paid_ann: Spp, make: Make) -> None:
    with make.begin() as session:
        clubs.create_club(session, name="Uptown", time_zone="America/Chicago", currency="USD")
        session.execute(text("UPDATE credit_grants SET club_ids = '{}'"))
    refused = paid_ann("redeem", ANN, "Group Class", "--club", "Uptown")
    assert refused.code == 1
    assert "Not at this club: 0 Group Class sessions can be used at Uptown, 8 more only at Riverside." in refused.err
    said = paid_ann("why-not", ANN, "Group Class", "--club", "Uptown", "--json").json["why_not"]
    assert said["reason"] == "not_at_this_club"
    for there in ("Riverside", None):
        assert paid_ann("redeem", ANN, "Group Class", *(["--club", there] if there else [])).code == 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--at", "2099-01-01", "That is in the future"),
        ("--at", "2020-01-01", "You can date it back by 31 days at most"),
        ("--at", "yesterday", "'yesterday' is not a time"),
        ("--club", "Nowhere", "There is no club 'Nowhere'."),
        ("--trainer", "x" * 201, "The trainer"),
    ],
)
def test_an_occasion_that_cannot_be(paid_ann: Spp, option: str, value: str, message: str) -> None:
    done = paid_ann("redeem", ANN, "Group Class", option, value)
    assert (done.code != 0, done.out) == (True, "")
    assert message in done.err


def test_why_not_and_the_way_out(paid_ann: Spp) -> None:
    assert paid_ann("why-not", ANN, "Group Class").out == "Ann Archer can use 1 Group Class session.\n"
    said = paid_ann("why-not", ANN, "Yoga")
    assert said.out.startswith("There are no Yoga sessions, only ")
    assert paid_ann("why-not", ANN, "Yoga", "--json").json["why_not"]["reason"] == "other_items"
    refused = paid_ann("redeem", ANN, "Yoga")
    assert refused.code == 1
    assert "nothing was taken. There are no Yoga sessions, only " in refused.err
    at = (datetime.now(UTC) - timedelta(days=20)).isoformat(timespec="seconds")
    assert paid_ann("why-not", ANN, "Group Class", "--at", at, "--json").json["why_not"]["reason"] == "not_yet"
