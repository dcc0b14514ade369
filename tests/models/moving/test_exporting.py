"""Exports: every file in a stable order, as of a moment, without formulas, a batch at a time."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger import adjustments, redemptions
from models.ledger.adjustments import AdjustmentReason
from models.members import life
from models.members.clocks import make_test_member
from models.members.memberships import Membership
from models.moving import exporting
from models.moving.exports import BY_NAME, EXPORTS
from models.payments.facts import Reversed
from models.statements import statement
from tests.models.gym import BY, Gym, fresh, paid, tell

Row = dict[str, str]
NOW = datetime.now(UTC)


def rows(session: Session, name: str, as_of: datetime | None = None) -> list[Row]:
    """What the file has, by its headings."""
    file = "".join(exporting.pieces(session, BY_NAME[name], datetime.now(UTC), as_of=as_of))
    return list(csv.DictReader(StringIO(file, newline="")))


def use(gym: Gym, ada: Membership, quantity: int) -> int:
    """Classes that are used; the redemption."""
    owner, item = ada.member_id, gym.spin.id
    return redemptions.redeem(
        gym.session, member_id=owner, item_id=item, quantity=quantity, key=fresh("key"), by=BY, now=datetime.now(UTC)
    ).redemption_id


def give(gym: Gym, ada: Membership, quantity: int, days: int | None = None) -> None:
    """Classes given by hand."""
    last_day = NOW.date() + timedelta(days=days) if days else None
    adjustments.adjust(
        gym.session, member_id=ada.member_id, item_id=gym.spin.id, quantity=quantity, last_day=last_day, by=BY,
        reason=AdjustmentReason.GOODWILL, note="a gift", alone_up_to=100, key=fresh("key"), now=datetime.now(UTC),
    )  # fmt: skip


def test_each_moment_has_what_was_recorded_by_then(gym: Gym) -> None:
    """Members and grants say what a member's page says as of the same moment."""
    ada = gym.join("sub_ada")
    session, moments = gym.session, []

    def now() -> None:
        session.commit()
        moments.append(session.scalars(text("SELECT clock_timestamp()")).one())

    now()
    tell(session, paid("in_1", "sub_ada", at=NOW - timedelta(days=1)), now=datetime.now(UTC))
    now()
    first = use(gym, ada, 5)
    now()
    give(gym, ada, 3, days=10)
    now()
    redemptions.give_back(session, redemption_id=first, key=fresh("key"), by=BY, now=datetime.now(UTC), quantity=1)
    now()
    tell(session, Reversed("in_1", datetime.now(UTC), "refund re_1", 9000, "USD"), now=datetime.now(UTC))
    now()
    for moment in [*moments, None]:
        at = moment or datetime.now(UTC)
        balances = statement.balances(session, ada.member_id, at, as_of=moment)
        assert [
            (row["item"], int(row["usable"]), int(row["coming"]), int(row["shortfall"]), row["next expiry"])
            for row in rows(session, "members", moment)
            if row["item"]
        ] == [
            (one.item, one.usable, one.coming, one.shortfall, one.next_expiry.isoformat() if one.next_expiry else "")
            for one in balances
        ]
        grants = statement.grants(session, ada.member_id, at, as_of=moment)
        names = ("grant id", "quantity", "used", "remaining", "shortfall", "reversed")
        assert [tuple(int(row[name]) for name in names) for row in rows(session, "grants", moment)] == sorted(
            (one.grant_id, one.quantity, one.used, one.remaining, one.shortfall, one.reversed) for one in grants
        )
        entries = statement.entries(session, ada.member_id, as_of=moment)
        assert [int(row["entry id"]) for row in rows(session, "entries", moment)] == [one.entry_id for one in entries]
    grows = [one.name for one in EXPORTS if one.name != "balances"]
    counts = [[len(rows(session, name, moment)) for moment in moments] for name in grows]
    assert counts == [sorted(one) for one in counts]
    assert [row["quantity"] for row in rows(session, "payments", moments[0])] == []
    assert [row["reversed"] for row in rows(session, "payments", moments[1])] == ["0", "0"]
    assert [row["reversed"] for row in rows(session, "payments")] == ["8", "2"]


def test_memberships_have_the_life_that_was_known(gym: Gym) -> None:
    session, ada = gym.session, gym.join("sub_ada", "-1+1")
    before = session.scalars(text("SELECT clock_timestamp()")).one()
    first, last = NOW.date(), NOW.date() + timedelta(days=9)
    frozen = life.freeze(session, ada, first=first, last=None, reason="away", by=BY, now=NOW).act
    life.freeze(session, ada, first=last, last=last, reason="away", by=BY, now=NOW)
    life.change(session, frozen, last=first, reason="back", by=BY, now=NOW)
    life.end(session, ada, last=last, reason="moves", by=BY, now=NOW)
    (row,) = rows(session, "memberships")
    assert (row["frozen"], row["ends"]) == (f"{first}/{first}; {last}/{last}", str(last))
    assert row["references"] == "stripe:-1+1; stripe:sub_ada"
    assert (row["offer"], row["term"], row["picks"], row["dues"]) == ("Gold", "Monthly", "Spin; Training", "90.00")
    (row,) = rows(session, "memberships", before)
    assert (row["frozen"], row["ends"]) == ("", "")


def test_test_members_do_not_move_out(gym: Gym) -> None:
    ada, tested = gym.join("sub_ada"), gym.join()
    make_test_member(gym.session, tested.member, [], by=BY)
    for one in (ada, tested):
        give(gym, one, 3)
    for name in ("people", "balances"):
        assert [row["email"] for row in rows(gym.session, name)] == [ada.member.email]
    assert tested.member.email in [row["email"] for row in rows(gym.session, "members")]


def test_no_cell_is_a_formula(gym: Gym) -> None:
    ada = gym.join("sub_ada")
    ada.member.name, gym.spin.name = '=HYPERLINK("http://evil")', "@Spin"
    give(gym, ada, 3)
    gym.session.commit()
    (row,) = rows(gym.session, "members")
    assert (row["name"], row["item"]) == ('\'=HYPERLINK("http://evil")', "'@Spin")
    assert [row["item"] for row in rows(gym.session, "entries")] == ["'@Spin"]


@pytest.mark.parametrize("name", [export.name for export in EXPORTS])
def test_a_batch_at_a_time_in_one_order(gym: Gym, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for number in range(5):
        ada = gym.join(f"sub_{number}")
        tell(gym.session, paid(f"in_{number}", f"sub_{number}", at=NOW - timedelta(days=1)), now=NOW)
        use(gym, ada, 1)
    whole = list(exporting.pieces(gym.session, BY_NAME[name], NOW))
    monkeypatch.setattr(exporting, "BATCH", 2)
    parts = exporting.pieces(gym.session, BY_NAME[name], NOW)
    first = next(parts)
    assert len(list(csv.reader(StringIO(first, newline="")))) == 3
    assert gym.session.scalars(text("SELECT count(*) FROM pg_cursors WHERE is_holdable = false")).one() == 1
    gym.join("sub_meanwhile")
    assert "".join([first, *parts]) == "".join(whole)
    assert len(list(csv.reader(StringIO("".join(whole), newline="")))) > 5
