"""Members, what they have, and when they had it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.ledger import entries
from tests.console.api.conftest import PAID_AT, Caller, Paid, answered, posted
from tests.models.gym import CLASSES, TRAININGS, Gym, paid, tell

PAGED = [
    "/members",
    "/offers",
    "/items",
    "/clubs",
    "/members/1/memberships",
    "/members/1/grants",
    "/members/1/entries",
    "/payments",
    "/members/1/payments",
    "/memberships/1/payments",
    "/events",
    "/redemptions",
    "/members/1/redemptions",
    "/adjustments",
]


def test_a_member_is_found_by_what_the_desk_has_in_hand(reader: Caller, gym: Gym, ada: Paid) -> None:
    gym.join()
    gym.session.commit()
    member = answered(reader.get(f"/members/{ada.id}"))
    named = {"id": ada.id, "name": "Ada", "email": ada.membership.member.email}
    rest = {"erased_at": None, "life": [], "overdue_since": None, "is_test": False, "clock": None}
    assert member == named | rest
    for sought, why in (("sub_ada", "billing reference"), ("in_1", "payment"), (member["email"], "e-mail")):
        assert reader.data("/members", q=sought) == [{**member, "found_by": why}]
    assert [row["found_by"] for row in reader.data("/members", q="ada")] == ["name", "name"]
    assert len(reader.data("/members", q="ada", limit=1)) == 1
    assert reader.data("/members", q="") == reader.data("/members", q="nobody") == []
    problem = answered(reader.get("/members", q="ada", cursor="x"), 422)
    assert [one["parameter"] for one in problem["errors"]] == ["cursor"]


def test_a_member_who_is_none_is_not_found(reader: Caller, ada: Paid) -> None:
    for number in (404, 0, 2**63 - 1, 2**63, "1" * 5000, "x", "-1", "1.0"):
        for path in ("", "/balances", "/grants", "/entries", "/memberships"):
            answered(reader.get(f"/members/{number}{path}"), 404)


def test_balances_say_what_can_be_used_and_what_expires_next(reader: Caller, ada: Paid) -> None:
    spin, training = reader.data(f"/members/{ada.id}/balances")
    assert (spin["item"], spin["usable"], spin["expires_next"], spin["shortfall"]) == ("Spin", CLASSES, CLASSES, 0)
    assert spin["next_expiry"].endswith("Z")
    assert (training["item"], training["usable"], training["next_expiry"]) == ("Training", TRAININGS, None)


def test_as_of_a_moment_it_is_what_was_known_then(api: Caller, gym: Gym, ada: Paid) -> None:
    before = datetime.now(UTC)
    posted(api.post("/redemptions", {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 3}, "check-in-1"))
    offset = (before + timedelta(hours=5)).replace(tzinfo=None).isoformat() + "+05:00"
    for moment in (before.isoformat(), before.isoformat().replace("+00:00", "Z"), offset):
        shown = answered(api.get(f"/members/{ada.id}/balances", as_of=moment))
        assert [row["usable"] for row in shown["data"]] == [CLASSES, TRAININGS]
        assert datetime.fromisoformat(shown["as_of"]) == before
        assert shown["as_of"].endswith("Z")
        assert [row["used"] for row in api.data(f"/members/{ada.id}/grants", as_of=moment)] == [0, 0]
        assert {row["kind"] for row in api.data(f"/members/{ada.id}/entries", as_of=moment)} == {"grant"}
    assert [row["used"] for row in api.data(f"/members/{ada.id}/grants")] == [3, 0]
    assert api.data(f"/members/{ada.id}/balances", as_of="2000-01-01T00:00:00Z") == []
    assert api.data(f"/members/{ada.id}/balances", as_of="2199-12-31T23:59:59Z")[0]["usable"] == 0


def test_a_moment_must_be_exact(reader: Caller, ada: Paid) -> None:
    moments = [
        "",
        "now",
        "2026-03-01",
        "2026-03-01T00:00:00",
        "1700000000",
        "2026-02-30T00:00:00Z",
        "\0",
        "2026-03-01T00:00:00 01:00",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        ["2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"],
    ]
    for path in ("balances", "grants", "entries"):
        for moment in moments:
            problem = answered(reader.get(f"/members/{ada.id}/{path}", as_of=moment), 422)
            assert [one["parameter"] for one in problem["errors"]] == ["as_of"], moment


def test_an_entry_says_what_caused_it(api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    posted(api.post("/redemptions", {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 3}, "check-in-1"))
    entries.expire(session, as_of=datetime.now(UTC))
    spent, _, given = api.data(f"/members/{ada.id}/entries")
    assert (given["kind"], given["item"], given["quantity"], given["balance"]) == ("grant", "Spin", CLASSES, CLASSES)
    assert (given["endpoint"], given["payment"], given["redemption_id"]) == ("stripe", "in_1", None)
    assert datetime.fromisoformat(given["occurred_at"]) == PAID_AT
    assert (spent["kind"], spent["quantity"], spent["balance"]) == ("redemption", -3, CLASSES - 3)
    assert (spent["redemption_id"], spent["payment"]) == (1, None)
    assert spent["actor"].startswith("token ")


def test_pages_neither_repeat_nor_skip(reader: Caller, gym: Gym, ada: Paid) -> None:
    for number in range(3):
        gym.join(f"sub_{number}", club=gym.forgiving_club())
    tell(gym.session, *(paid(f"in_{number}", "sub_ada", at=PAID_AT) for number in range(2, 5)), now=PAID_AT)
    for path in PAGED:
        paged = list(reader.pages(path, limit=2))
        assert [row for rows in paged for row in rows] == reader.data(path), path
        assert all(len(rows) == 2 for rows in paged[:-1]), path
        assert paged[-1] or len(paged) == 1, path


@pytest.mark.parametrize("path", ["/members", "/members/1/grants", "/members/1/entries"])
def test_pages_stay_when_rows_are_added(reader: Caller, gym: Gym, ada: Paid, path: str) -> None:
    for _ in range(3):
        gym.join()
    tell(gym.session, paid("in_2", "sub_ada", at=PAID_AT), now=PAID_AT)
    before = [row["id"] for row in reader.data(path)]
    pages = reader.pages(path, limit=2)
    seen = [row["id"] for row in next(pages)]
    gym.join()
    tell(gym.session, paid("in_3", "sub_ada", at=PAID_AT + timedelta(minutes=1)), now=PAID_AT)
    seen += [row["id"] for rows in pages for row in rows]
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


def test_a_cursor_of_another_list_or_of_none_is_refused(reader: Caller, gym: Gym, ada: Paid) -> None:
    negative, huge = "bWVtYmVycyAtMQ", "bWVtYmVycyA5OTk5OTk5OTk5OTk5OTk5OTk5"  # "members -1" and "members 999..."
    ours = {path: answered(reader.get(path, limit=1))["next_cursor"] for path in ("/items", "/members/1/entries")}
    for path in PAGED:
        foreign = ours["/items" if path != "/items" else "/members/1/entries"]
        for cursor in (foreign, "", "x", "e30", "=", "\0", "x" * 101, negative, huge):
            problem = answered(reader.get(path, cursor=cursor), 422)
            assert [one["parameter"] for one in problem["errors"]] == ["cursor"], (path, cursor)
    of_now = answered(reader.get("/members/1/grants", limit=1))["next_cursor"]
    answered(reader.get("/members/1/grants", cursor=of_now, as_of="2000-01-01T00:00:00Z"), 422)


def test_a_query_is_read_strictly(reader: Caller, ada: Paid) -> None:
    for path in PAGED:
        for limit in (0, 201, "x", "", "1.0", "1_0", "-1", [1, 2], "\N{ARABIC-INDIC DIGIT ONE}"):
            problem = answered(reader.get(path, limit=limit), 422)
            assert [one["parameter"] for one in problem["errors"]] == ["limit"], limit
        assert [one["parameter"] for one in answered(reader.get(path, x=1), 422)["errors"]] == ["x"]
