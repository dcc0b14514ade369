"""Members found by name, e-mail address, billing reference or payment, and only by reading indexes."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session

from models.ledger.redemptions import redeem
from models.members.memberships import Membership, add_billing_reference
from models.members.search import Reason, recent, search, waiting
from models.members.signing_up import sign_up
from models.payments.facts import Linked, Paid
from tests.models.gym import BY, NOW, Gym, paid, tell

MEMBERS = 5_000
PAYMENTS_EACH = 4


def join(gym: Gym, name: str, email: str) -> Membership:
    picks = [gym.spin, gym.training]
    return sign_up(gym.session, email=email, name=name, club=gym.club, term=gym.term, picks=picks, by=BY, now=NOW)


def found(session: Session, sought: str, limit: int = 10) -> list[tuple[str, str]]:
    return [(member.email.partition("@")[0], member.reason) for member in search(session, sought, limit)]


PEOPLE = {
    "ann": "Ann Archer",
    "anna": "Anna O'Brien",
    "zoe": "Zoë Müller-Østergård",
    "jl": "Jean-Luc d\u2019Arc",
    "st": "J.R. St.John",
    "chen": "陈 Chen",
    "a_b": 'Quote\'d "Pete" \\ Smith/Jones',
}


@pytest.fixture
def people(gym: Gym) -> Session:
    for email, name in PEOPLE.items():
        join(gym, name, f"{email}@Example.com")
    return gym.session


@pytest.mark.parametrize(
    ("sought", "emails"),
    [
        ("arch", ["ann"]),
        ("ARCHER", ["ann"]),
        ("archer ann", ["ann"]),
        ("  arch   a ", ["ann"]),
        ("arc d", ["jl"]),
        ("cher", []),
        ("ann archers", []),
        ("o'brien", ["anna"]),
        ("o\u2019brien", ["anna"]),
        ("obri", ["anna"]),
        ("brien", ["anna"]),
        ("zoe mull", ["zoe"]),
        ("ZOË", ["zoe"]),
        ("Zoe\u0308", ["zoe"]),
        ("østerg", ["zoe"]),
        ("ostergard", []),
        ("jean luc", ["jl"]),
        ("luc-jean", ["jl"]),
        ("darc", ["jl"]),
        ("john", ["st"]),
        ("陈", ["chen"]),
        ("jones smith", ["a_b"]),
        ("pete", ["a_b"]),
    ],
)
def test_by_the_beginnings_of_a_names_words(people: Session, sought: str, emails: list[str]) -> None:
    assert found(people, sought) == [(email, Reason.NAME) for email in emails]


@pytest.mark.parametrize(
    ("sought", "emails"),
    [
        ("ann@example.com", ["ann"]),
        ("ANN@", ["ann"]),
        ("zoe@exa", ["zoe"]),
        ("example.com", []),
        ("a_", ["a_b"]),
        ("a%", []),
        ("@", []),
    ],
)
def test_by_the_beginning_of_an_address(people: Session, sought: str, emails: list[str]) -> None:
    assert [row for row in found(people, sought) if row[1] == Reason.EMAIL] == [(row, Reason.EMAIL) for row in emails]


@pytest.mark.parametrize(
    "sought", ["", "   ", "\0", "'", "&", "|!:*", "\\", "' & '", "((", "%", "\N{GRINNING FACE}", "x" * 9000]
)
def test_what_finds_nothing(people: Session, sought: str) -> None:
    assert search(people, sought, 10) == []


def test_by_references_on_any_endpoint(gym: Gym, session: Session) -> None:
    ann, ben = join(gym, "Ann", "ann@example.com"), join(gym, "Ben", "ben@example.com")
    add_billing_reference(session, ann, "stripe", "sub_1", by=BY)
    add_billing_reference(session, ben, "square", "sub_1", by=BY)
    add_billing_reference(session, ben, "adyen", "SUB_2", by=BY)
    tell(session, paid("in_1", "sub_1"), paid("in_waiting", "sub_unknown"))
    assert found(session, " sub_1 ") == [("ann", "billing reference"), ("ben", "billing reference")]
    assert [row.endpoint for row in search(session, "sub_1", 10)] == ["stripe", "square"]
    assert found(session, "SUB_2") == [("ben", "billing reference")]
    assert found(session, "in_1") == [("ann", "payment")]
    for nothing in ("sub", "sub_2", "in_", "in_waiting", "sub_unknown"):
        assert found(session, nothing) == []


@pytest.mark.parametrize("linked_first", [True, False])
def test_by_every_reference_of_a_payment(gym: Gym, session: Session, linked_first: bool) -> None:
    """Whichever of them was credited, or joined to the other."""
    gym.join("sub")
    told = [Linked("ch_1", NOW, "in_1"), paid("in_1", "sub")]
    for fact in told if linked_first else reversed(told):
        tell(session, fact)
    assert [reason for _, reason in found(session, "in_1") + found(session, "ch_1")] == ["payment", "payment"]


def test_by_the_code_of_a_membership_in_any_case(gym: Gym, session: Session) -> None:
    code = join(gym, "Ann", "ann@example.com").code
    assert found(session, code) == found(session, f" {code.upper()}") == [("ann", Reason.CODE)]
    assert found(session, code[:-1]) == []


def test_who_was_checked_in_lately_comes_first_and_other_clubs_are_left_out(gym: Gym, session: Session) -> None:
    people = {name: join(gym, f"Sam {name}", f"{name}@example.com") for name in ("Abel", "Bo", "Cy")}
    tell(session, *(add_and_pay(session, one) for one in people.values()))
    for name, by in (("Cy", BY), ("Bo", BY._replace(name="other@example.com"))):
        member_id = people[name].member_id
        redeem(session, member_id=member_id, item_id=gym.spin.id, quantity=1, key=name, by=by, now=NOW)
    lately = recent(session, actor=BY.name, limit=9)
    assert [one.name for one in lately] == ["Sam Cy", "Sam Bo"]
    first = [one.name for one in search(session, "sam", 9, recent=[one.member_id for one in lately])]
    assert first == ["Sam Cy", "Sam Bo", "Sam Abel"]
    for clubs, number in (([gym.club.id], 3), ([gym.club.id + 999], 0), ([], 0)):
        for sought in ("sam", "abel@"):
            assert len(search(session, sought, 9, club_ids=clubs)) == (number if sought == "sam" else number // 3)
        assert len(recent(session, actor=BY.name, limit=9, club_ids=clubs)) == number * 2 // 3


def add_and_pay(session: Session, membership: Membership) -> Paid:
    add_billing_reference(session, membership, "stripe", f"sub_{membership.id}", by=BY)
    return paid(f"in_{membership.id}", f"sub_{membership.id}")


def test_the_first_by_name_of_more_than_are_wanted(gym: Gym, session: Session) -> None:
    for name in ("young", "Abel"):
        join(gym, f"Kim {name}", f"{name}@example.com")
    assert found(session, "kim", 1) == [("Abel", Reason.NAME)]


def test_each_member_once_the_surest_reason_first(gym: Gym, session: Session) -> None:
    by_name = [join(gym, f"Sam {name}", f"{name}@example.com") for name in ("young", "Abel")]
    by_email, by_payment, by_billing = (join(gym, name, f"sam{name}@example.com") for name in "xyz")
    add_billing_reference(session, by_billing, "stripe", "sam", by=BY)
    add_billing_reference(session, by_payment, "stripe", "other", by=BY)
    tell(session, paid("sam", "other"))
    expected = [
        ("samz", "billing reference"),
        ("samy", "payment"),
        ("samx", "e-mail"),
        ("Abel", "name"),
        ("young", "name"),
    ]
    assert found(session, "sam") == expected
    for limit in range(1, 5):
        assert found(session, "sam", limit) == expected[:limit]
    assert {row.member_id for row in search(session, "sam", 10)} == {
        membership.member_id for membership in (*by_name, by_email, by_payment, by_billing)
    }


_CROWD = """
    INSERT INTO members (email, name)
    SELECT 'crowd' || n || '@example.com', 'First' || n || ' Last' || n % 500 FROM generate_series(1, :members) n;

    INSERT INTO memberships (member_id, club_id, offer_id, payment_term_id, currency)
    SELECT m.id, :club, :offer, t.id, t.currency
    FROM members m, payment_terms t WHERE m.email LIKE 'crowd%' AND t.id = :term;

    INSERT INTO billing_references (endpoint, reference, membership_id)
    SELECT CASE s.id % 2 WHEN 0 THEN 'stripe' ELSE 'adyen' END, 'sub_' || m.name, s.id
    FROM memberships s JOIN members m ON m.id = s.member_id WHERE m.email LIKE 'crowd%';

    INSERT INTO payments (endpoint, reference, state, membership_id)
    SELECT b.endpoint, 'in_' || b.reference || '_' || n, 'settled', b.membership_id
    FROM billing_references b, generate_series(1, :each) n WHERE b.reference LIKE 'sub_First%';

    INSERT INTO payment_matches (payment_id, membership_id)
    SELECT id, membership_id FROM payments WHERE membership_id IS NOT NULL;

    INSERT INTO redemptions (idempotency_key, member_id, item_id, quantity, occurred_at)
    SELECT 'use_' || name, id, :item, 1, now() FROM members WHERE email LIKE 'crowd%';

    ANALYZE members; ANALYZE memberships; ANALYZE billing_references; ANALYZE payments; ANALYZE payment_matches;
    ANALYZE redemptions
"""


def crowd(gym: Gym) -> None:
    values = {
        "members": MEMBERS,
        "each": PAYMENTS_EACH,
        "club": gym.club.id,
        "offer": gym.offer.id,
        "term": gym.term.id,
        "item": gym.spin.id,
    }
    for statement in _CROWD.split(";"):
        gym.session.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})


def plans(session: Session, look: Callable[[], object]) -> list[dict[str, Any]]:
    """Every node of the plans by which somebody looks."""
    sent: list[tuple[str, Any]] = []

    def remember(_: Connection, __: object, statement: str, parameters: Any, *___: object) -> None:
        sent.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", remember)
    try:
        look()
    finally:
        event.remove(connection, "before_cursor_execute", remember)
    nodes = []
    for statement, parameters in sent:
        explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar()
        waiting = [(explained if isinstance(explained, list) else json.loads(explained))[0]["Plan"]]
        while waiting:
            nodes.append(waiting.pop())
            waiting += nodes[-1].get("Plans", [])
    return nodes


@pytest.mark.parametrize(
    "setting", ["SELECT 1", "SET LOCAL enable_seqscan = on", "SET LOCAL plan_cache_mode = force_generic_plan"]
)
def test_no_search_reads_a_table_through(gym: Gym, session: Session, setting: str) -> None:
    crowd(gym)
    session.execute(text(setting))
    for sought, expected in (
        ("first77 last77", 1),
        ("crowd77@example", 1),
        ("sub_First77 Last77", 1),
        ("in_sub_First77 Last77_3", 1),
        ("use_First77 Last77", 1),
        ("last77 first", MEMBERS // 500),
        ("nobody", 0),
    ):
        assert len(search(session, sought, 20)) == expected
        nodes = plans(session, partial(search, session, sought, 20))
        assert {node["Relation Name"] for node in nodes if "Relation Name" in node} >= {
            "members",
            "payments",
            "redemptions",
        }
        for node in nodes:
            assert node["Node Type"] != "Seq Scan", f"{sought} {node}"
            read = (
                node["Actual Rows"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
            )
            assert read * node["Actual Loops"] <= 50, f"{sought} {node}"


def test_payments_that_wait_are_found_by_any_of_their_references(gym: Gym, session: Session) -> None:
    gym.join("sub_1")
    tell(session, paid("in_1", "sub_1"), paid("in_2", "sub_2"), Linked("ch_2", NOW, "in_2"))
    for sought in ("in_2", " ch_2", "sub_2"):
        assert [row.billing_references for row in waiting(session, sought, 5)] == [["sub_2"]]
    for sought in ("in_1", "sub_1", "in_", "", "\0"):
        assert waiting(session, sought, 5) == []
