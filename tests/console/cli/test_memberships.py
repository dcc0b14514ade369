"""sign-up, member, redeem, give-back: what they do, what they refuse, and their JSON."""

from datetime import UTC, datetime
from time import sleep, time

import pytest
from sqlalchemy import text

from local.endpoints import ENDPOINTS
from models.payments.facts import DuesFailed
from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.models.gym import deliver, events
from tests.worker.scene import Make, arrive, paid_now, run, value
from worker.crediting import Crediting

ANN = "ann@example.com"
NEW = {
    "--member": "dora@example.com",
    "--name": "Dora Duck",
    "--club": "Riverside",
    "--offer": "All In",
    "--term": "Monthly",
}


def sign_up(*more: str, **changed: str) -> list[str]:
    options = NEW | {f"--{name}": text for name, text in changed.items()}
    return ["sign-up", *(word for option in options.items() for word in option), *more]


def test_demo_data_twice_makes_one_gym(gym: Spp) -> None:
    assert ANN in gym("demo-data").out
    made = gym("demo-data", "--json").json
    assert [row["member"] for row in made] == [ANN, "ben@example.com", "cem@example.com"]
    assert sorted(made[0]["billing"]) == sorted(f"{endpoint}:sub_ann" for endpoint in ENDPOINTS)


def test_members_are_listed_by_what_they_have_left(gym: Spp) -> None:
    rows = gym("members", "--nothing-left", "--state", "active", "--order", "joined", "--json").json
    assert [row["name"] for row in rows] == ["Cem Celik", "Ben Bishop", "Ann Archer"]
    assert rows[0]["left"] is None
    assert gym("members", "--club", "Nowhere").code == 1


def test_sign_up_pins_the_terms(gym: Spp) -> None:
    done = gym(*sign_up("--pick", "Personal Training", "--pick", "Yoga", "--billing", "stripe:sub_dora", "--json"))
    assert done.code == 0
    assert done.json["member"] == "dora@example.com"
    assert done.json["terms"] == [
        {"item": "Personal Training", "quantity": 4, "days_to_expire": 30},
        {"item": "Yoga", "quantity": 5, "days_to_expire": 45},
    ]
    shown = gym(*sign_up("--pick", "Personal Training", "--pick", "Group Class", member="eve@example.com"))
    assert shown.code == 0
    assert [line.split() for line in shown.out.splitlines()[-2:]] == [
        ["Personal", "Training", "4", "30"],
        ["Group", "Class", "8", "never"],
    ]


def test_an_item_of_which_the_payment_term_gives_none_cannot_be_picked(gym: Spp, make: Make) -> None:
    run(make, "DELETE FROM bucket_terms WHERE quantity = 3")  # Spin's
    done = gym(*sign_up("--pick", "Personal Training", "--pick", "Spin"))
    assert done.code == 1
    assert "The payment term 'Monthly' gives no sessions of 'Spin': leave it out" in done.err
    assert value(make, "SELECT count(*) FROM memberships") == 3


def test_sign_up_settles_what_had_waited(gym: Spp, settings: Settings, make: Make) -> None:
    arrive(make, paid_now("in_1", "sub_dora"))
    Crediting(settings, make).drain()
    done = gym(*sign_up("--pick", "Personal Training", "--billing", "stripe:sub_dora"))
    assert "Settled 1 payments that had waited" in done.out
    assert gym("member", NEW["--member"], "--json").json["balances"][0]["usable"] == 4


@pytest.mark.parametrize(
    ("more", "changed", "message"),
    [
        ((), {}, "'All In' requires Personal Training: pick it too."),
        (("--pick", "Yoga"), {}, "'All In' requires Personal Training: pick it too."),
        (("--pick", "Yoga", "--pick", "Spin"), {}, "'All In' requires Personal Training: pick it too."),
        (
            ("--pick", "Personal Training", "--pick", "Yoga", "--pick", "Spin"),
            {},
            "'All In' allows at most 2 session items; 3 picked.",
        ),
        (("--pick", "Towel"), {}, "'Towel' is not a session item of 'All In'; it has Personal Training, Group Class,"),
        (("--pick", "Juggling"), {}, "There is no item 'Juggling'."),
        ((), {"club": "Atlantis"}, "There is no club 'Atlantis'. There are: Riverside.\n"),
        ((), {"offer": "Gold"}, "There is no offer 'Gold'. There are: All In.\n"),
        ((), {"term": "Daily"}, "There is no payment term of 'All In' named 'Daily'. There are: Monthly.\n"),
        (("--pick", "Personal Training"), {"member": "nobody"}, "'nobody' is not an e-mail address."),
        (("--pick", "Personal Training"), {"member": "a b@c"}, "'a b@c' is not an e-mail address."),
        (
            ("--pick", "Personal Training", "--billing", "paypal:x"),
            {},
            "There is no endpoint 'paypal'. There are: stripe, standard.\n",
        ),
        (
            ("--pick", "Personal Training", "--billing", "stripe:sub_ann"),
            {},
            "'sub_ann' on endpoint 'stripe' already belongs to membership 1.",
        ),
    ],
)
def test_sign_up_refuses_and_leaves_nothing_behind(
    gym: Spp, make: Make, more: tuple[str, ...], changed: dict[str, str], message: str
) -> None:
    done = gym(*sign_up(*more, **changed))
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith(f"Error: {message}")
    assert value(make, "SELECT count(*) FROM members") == 3
    assert value(make, "SELECT count(*) FROM memberships") == 3


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE offers SET state = 'retired'", "Offer 'All In' is retired, so it cannot be bought."),
        ("UPDATE clubs SET currency = 'EUR'", "The payment term is in USD, the club 'Riverside' in EUR."),
        ("UPDATE offers SET min_buckets = 2", "'All In' asks for at least 2 session items; 1 picked."),
    ],
)
def test_sign_up_refuses_by_the_offers_own_rules(gym: Spp, make: Make, statement: str, message: str) -> None:
    run(make, statement)
    done = gym(*sign_up("--pick", "Personal Training"))
    assert (done.code, done.err) == (1, f"Error: {message}\n")


def test_member_shows_balances_grants_and_the_cause_of_each_entry(paid_ann: Spp) -> None:
    shown = paid_ann("member", ANN)
    assert shown.code == 0
    assert "Ann Archer <ann@example.com>" in shown.out
    assert shown.out.count("payment in_1, stripe event evt_in_1") == 2
    told = paid_ann("member", ANN.upper(), "--json").json
    assert [(row["item"], row["usable"], row["shortfall"]) for row in told["balances"]] == [
        ("Group Class", 8, 0),
        ("Personal Training", 4, 0),
    ]
    assert {(row["payment"], row["quantity"], row["remaining"]) for row in told["grants"]} == {
        ("in_1", 4, 4),
        ("in_1", 8, 8),
    }
    assert {(row["kind"], row["endpoint"], row["event_id"]) for row in told["entries"]} == {
        ("grant", "stripe", "evt_in_1")
    }


def test_a_sign_up_with_the_same_key_signs_nobody_up_again(gym: Spp) -> None:
    picks = ("--pick", "Personal Training")
    arguments = (*sign_up(*picks, "--billing", "stripe:sub_new"), "--key", "form-1", "--json")
    first, again = (gym(*arguments).json for _ in range(2))
    assert first == again
    assert gym(*sign_up(*picks), "--json").json["membership"] != first["membership"]
    other = gym(*sign_up(*picks, "--pick", "Yoga"), "--key", "form-1")
    assert (other.code, other.out) == (1, "")
    assert "Idempotency key 'form-1' was used before with other content" in other.err


def test_overdue_dues_ask_for_a_reason_until_they_are_cleared(paid_ann: Spp, make: Make) -> None:
    failed = DuesFailed("in_late", datetime.now(UTC), ("sub_ann",))
    with make.begin() as session:
        deliver(session, events(failed), now=datetime.now(UTC))
        session.execute(text("UPDATE clubs SET use_while_overdue = 'strict'"))
    assert "Overdue since" in paid_ann("member", ANN).out
    assert paid_ann("member", ANN, "--json").json["overdue"][0]["membership"] == 1
    assert "dues are overdue since" in paid_ann("redeem", ANN, "Personal Training").err
    assert paid_ann("redeem", ANN, "Personal Training", "--override-reason", "New card").code == 0
    assert "not overdue any more" in paid_ann("clear-overdue", ANN, "--reason", "Paid in cash").out
    assert paid_ann("clear-overdue", ANN, "--reason", "Paid in cash").code == 1
    assert paid_ann("redeem", ANN, "Personal Training").code == 0


def test_redeem_and_give_back(paid_ann: Spp) -> None:
    taken = paid_ann("redeem", ANN, "Personal Training", "3", "--json").json
    assert [draw["quantity"] for draw in taken["draws"]] == [3]
    assert balance(paid_ann, "Personal Training") == 1
    given = paid_ann("give-back", str(taken["redemption"]), "--quantity", "2", "--json").json
    assert given["redemption"] != taken["redemption"]
    assert balance(paid_ann, "Personal Training") == 3
    assert "1 returned to grant" in paid_ann("give-back", str(taken["redemption"])).out
    assert balance(paid_ann, "Personal Training") == 4
    assert "1 taken from grant" in paid_ann("redeem", ANN, "Personal Training").out


def test_the_same_key_answers_the_same_and_takes_once(paid_ann: Spp) -> None:
    first, again = (paid_ann("redeem", ANN, "Group Class", "2", "--key", "k1", "--json").json for _ in range(2))
    assert first == again
    assert first["idempotency_key"] == "k1"
    assert balance(paid_ann, "Group Class") == 6
    other = paid_ann("redeem", ANN, "Group Class", "3", "--key", "k1")
    assert (other.code, other.out) == (1, "")
    assert "Idempotency key 'k1' was used before with other content" in other.err
    assert balance(paid_ann, "Group Class") == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("member", "nobody@example.com"), "There is no member 'nobody@example.com'."),
        (
            ("redeem", ANN, "Personal Training", "5"),
            "5 Personal Training sessions asked for, 4 usable: nothing was taken.",
        ),
        (
            ("redeem", ANN, "Yoga"),
            (
                "1 Yoga session asked for, 0 usable: nothing was taken. "
                "There are no Yoga sessions, only 7 Group Class sessions and 4 Personal Training sessions. "
                "Use one of those, or change the plan to one with Yoga sessions."
            ),
        ),
        (
            ("redeem", ANN, "Juggling"),
            "There is no item 'Juggling'. There are: Group Class, Personal Training, Spin, Towel, Yoga.",
        ),
        (("redeem", "nobody@example.com", "Yoga"), "There is no member 'nobody@example.com'."),
        (("give-back", "404"), "There is no redemption 404."),
        (("give-back", "1", "--quantity", "2"), "2 sessions cannot be returned: redemption 1 has 1 left to return."),
    ],
)
def test_refusals_change_nothing(paid_ann: Spp, arguments: tuple[str, ...], message: str) -> None:
    assert paid_ann("redeem", ANN, "Group Class").code == 0
    before = paid_ann("member", ANN, "--json").json["entries"]
    done = paid_ann(*arguments)
    assert (done.code, done.out, done.err) == (1, "", f"Error: {message}\n")
    assert paid_ann("member", ANN, "--json").json["entries"] == before


def balance(spp: Spp, item: str) -> int:
    balances = spp("member", ANN, "--json").json["balances"]
    return int(next(row["usable"] for row in balances if row["item"] == item))


def test_member_as_of_a_moment(paid_ann: Spp) -> None:
    """Before any of it was recorded, nothing; later, as it stood between the entries."""
    before_all = "2020-01-31T23:59:59"
    none = paid_ann("member", ANN, "--as-of", before_all, "--json").json
    assert (none["as_of"], none["balances"], none["grants"], none["entries"]) == (
        "2020-01-31T23:59:59+00:00",
        [],
        [],
        [],
    )
    shown = paid_ann("member", ANN, "--as-of", "2020-01-31").out
    assert "Usable as of 2020-01-30 18:00 CST" in shown
    sleep(1 - time() % 1)  # moments are told in whole seconds
    between = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert paid_ann("redeem", ANN, "Group Class", "3").code == 0
    stood = paid_ann("member", ANN, "--as-of", between, "--json").json
    now = paid_ann("member", ANN, "--json").json
    assert now["as_of"] is None
    for told, left, kinds in ((stood, 8, ["grant"]), (now, 5, ["grant", "redemption"])):
        assert [row["usable"] for row in told["balances"] if row["item"] == "Group Class"] == [left]
        assert [(row["used"], row["remaining"]) for row in told["grants"] if row["item"] == "Group Class"] == [
            (8 - left, left)
        ]
        entries = [row for row in told["entries"] if row["item"] == "Group Class"]
        assert [row["kind"] for row in entries] == kinds
        assert entries[-1]["balance"] == left
