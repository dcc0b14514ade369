"""Outstanding sessions and the report by month, against plain addition over made-up ledgers."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.days import end_of, local_day
from models.errors import DayNotOver, NotFound, PeriodTooLong, ReportTooSlow
from models.reports import months, outstanding, used_share
from models.reports.asked import ask, run
from tests.models.gym import Gym

NOW = datetime(2024, 5, 10, 2, 30, tzinfo=UTC)
BEGAN = datetime(2023, 3, 1, tzinfo=UTC)


class Entry(NamedTuple):
    kind: str
    quantity: int
    at: datetime
    expires_at: datetime | None = None


class Grant(NamedTuple):
    club: Club
    item: int
    paid: bool
    starts: datetime
    entries: list[Entry]

    def left(self, until: datetime) -> int:
        """As of a moment, by what was recorded before it."""
        known = [entry for entry in self.entries if entry.at < until]
        dates = [entry.expires_at for entry in known if entry.kind in ("grant", "adjustment_in", "extension")]
        if not dates or (dates[-1] is not None and dates[-1] <= until):
            return 0
        return sum(entry.quantity for entry in known)


def made_up(chance: random.Random, club: Club, item: int) -> Grant:
    """A grant that was used, expired, extended before or after that, reversed, or none of it."""
    starts = BEGAN + chance.random() * (NOW - BEGAN)
    paid, zone = chance.random() < 0.7, club.time_zone
    ends = end_of(local_day(starts, zone) + timedelta(days=chance.choice([0, 3, 30])), zone)
    expires = None if chance.random() < 0.2 else ends
    left = chance.randint(3, 9)
    entries = [Entry("grant" if paid else "adjustment_in", left, starts, expires)]
    at = starts
    while chance.random() < 0.8:
        at = chance.choice([at + timedelta(days=40 * chance.random()), (expires or at) + timedelta(seconds=1)])
        at = max(at, entries[-1].at + timedelta(microseconds=1))
        if at >= NOW:
            break
        over = expires is not None and expires <= at
        if chance.random() < 0.3:
            expires = chance.choice([None, end_of(local_day(at, zone) + timedelta(days=chance.randint(-2, 40)), zone)])
            entries.append(Entry("extension", 0, at, expires))
        elif over and left and chance.random() < 0.6:
            entries.append(Entry("expiry", -left, at))
            left = 0
        elif left and not over:
            kind, number = (
                chance.choice(["redemption", "clawback", "adjustment", "debt_repayment"]),
                chance.randint(1, left),
            )
            entries.append(Entry(kind, -number, at))
            left -= number
        elif (gone := 9 - left) > 0 and chance.random() < 0.5:
            # What had expired comes back only where the expiry was changed.
            back = ["expiry"] if any(entry.kind == "extension" for entry in entries) else []
            kind = chance.choice(["return", "reinstatement", *back])
            number = chance.randint(1, gone)
            entries.append(Entry(kind, number, at))
            left += number
    return Grant(club, item, paid, chance.choice([starts, starts, min(starts + timedelta(days=35), ends)]), entries)


def write(session: Session, grants: list[Grant], membership: dict[int, Any]) -> None:
    session.execute(text("SET LOCAL session_replication_role = replica"))  # the causes of these entries are made up
    for number, grant in enumerate(grants, start=1):
        of = membership[grant.club.id]
        total = sum(entry.quantity for entry in grant.entries)
        expires = [one.expires_at for one in grant.entries if one.kind in ("grant", "adjustment_in", "extension")][-1]
        session.execute(text("""
            INSERT INTO credit_grants (id, payment_id, action_id, member_id, membership_id, item_id, first_quantity,
                                       quantity, remaining, effective_at, expires_at, recorded_at)
            VALUES (:id, :payment, :action, :member, :membership, :item, 20, 20, :total, :starts, :expires, :at)
        """), {
            "id": number, "payment": number if grant.paid else None, "action": None if grant.paid else 1,
            "member": of.member_id, "membership": of.id if grant.paid else None, "item": grant.item, "total": total,
            "starts": grant.starts, "expires": expires, "at": grant.entries[0].at,
        })  # fmt: skip
        for entry in grant.entries:
            kind = entry.kind.removesuffix("_in")
            by_fact = kind in ("grant", "clawback", "reinstatement")
            session.execute(text("""
                INSERT INTO ledger_entries (grant_id, kind, quantity, reversed, occurred_at, recorded_at, expires_at,
                                            fact_id, action_id, redemption_id, counter_grant_id)
                VALUES (:id, :kind, :quantity, :reversed, :at, :at, :expires, :fact, :action, :redemption, :counter)
            """), {
                "id": number, "kind": kind, "quantity": entry.quantity, "at": entry.at, "expires": entry.expires_at,
                "reversed": {"clawback": 1, "reinstatement": -1}.get(kind, 0), "fact": 1 if by_fact else None,
                "action": None if by_fact else 1, "redemption": 1 if kind in ("redemption", "return") else None,
                "counter": 1 if kind == "debt_repayment" else None,
            })  # fmt: skip
    session.execute(text("SET LOCAL session_replication_role = origin"))


@pytest.fixture
def grants(gym: Gym, session: Session) -> list[Grant]:
    """Over two clubs on two sides of the date line; one membership of the first has moved there."""
    tokyo = Club(name="Tokyo", time_zone="Asia/Tokyo", currency="USD")
    session.add(tokyo)
    session.flush()
    membership = {club.id: gym.join(club=club) for club in (gym.club, tokyo)}
    chance = random.Random(7)
    clubs, items = [gym.club, tokyo], [gym.spin.id, gym.training.id]
    made = [made_up(chance, chance.choice(clubs), chance.choice(items)) for _ in range(150)]
    write(session, made, membership)
    return made


def plain(grants: list[Grant], until: dict[int, datetime]) -> Counter[tuple[int, int]]:
    left: Counter[tuple[int, int]] = Counter()
    for grant in grants:
        left[grant.club.id, grant.item] += grant.left(until[grant.club.id])
    return +left


def ends(grants: list[Grant], day: date) -> dict[int, datetime]:
    return {grant.club.id: end_of(day, grant.club.time_zone) for grant in grants}


def test_outstanding_is_what_the_entries_come_to(session: Session, grants: list[Grant]) -> None:
    for day in [None, *(date(2023, 3, 31) + timedelta(days=29 * number) for number in range(14))]:
        found = outstanding.rows(session, ask(session, NOW, day=day))
        until = ends(grants, day) if day else {grant.club.id: NOW for grant in grants}
        assert {(row.club_id, row.item_id): row.sessions for row in found} == plain(grants, until), day
        ages: Counter[str] = Counter()
        for grant in grants:
            moment, zone = until[grant.club.id], ZoneInfo(grant.club.time_zone)
            last = moment - timedelta(microseconds=1) if day else moment
            age = (last.astimezone(zone).date() - grant.starts.astimezone(zone).date()).days
            place = "to_30" if age <= 30 else "to_60" if age <= 60 else "to_90" if age <= 90 else "older"
            ages["coming" if grant.starts > last else place] += grant.left(moment)
        assert {name: sum(getattr(row, name) for row in found) for name in outstanding.AGES} == {
            name: ages[name] for name in outstanding.AGES
        }


def test_months_add_up_with_what_is_outstanding(session: Session, grants: list[Grant]) -> None:
    found = months.rows(session, ask(session, NOW))
    assert {row.month for row in found} == {date(2023, 5, 1) + timedelta(days=0), *(row.month for row in found)}
    assert len({row.month for row in found}) == months.MONTHS
    for row in found:
        left = row.opening + row.granted + row.adjusted - row.used - row.expired - row.taken_back
        assert left == row.closing
        before = row.month - timedelta(days=1)
        assert row.opening == plain(grants, ends(grants, before))[row.club_id, row.item_id], row
        if row.month < date(2024, 5, 1):
            last = (row.month + timedelta(days=32)).replace(day=1) - timedelta(days=1)
            assert row.closing == plain(grants, ends(grants, last))[row.club_id, row.item_id], row
        used = sum(
            -entry.quantity
            for grant in grants if (grant.club.id, grant.item) == (row.club_id, row.item_id)
            for entry in grant.entries if entry.kind in ("redemption", "return")
            and local_day(entry.at, grant.club.time_zone).replace(day=1) == row.month
        )  # fmt: skip
        assert row.used == used
    now = {(row.club_id, row.item_id): row.sessions for row in outstanding.rows(session, ask(session, NOW))}
    assert {(row.club_id, row.item_id): row.closing for row in found if row.month == date(2024, 5, 1)} == now
    for given in used_share.rows(session, ask(session, NOW)):
        assert given.granted == given.used + given.expired + given.taken_back + given.left
    *_, earlier, latest = months.totals(found)
    assert latest.opening == earlier.closing


def test_clubs_items_and_days_are_checked(session: Session, grants: list[Grant], gym: Gym) -> None:
    tokyo = next(grant.club.id for grant in grants if grant.club.id != gym.club.id)
    both = outstanding.rows(session, ask(session, NOW))
    here = outstanding.rows(session, ask(session, NOW, club_ids=[gym.club.id]))
    assert here == [row for row in both if row.club_id == gym.club.id]
    one = ask(session, NOW, club_id=tokyo, item_id=gym.spin.id, day=date(2024, 5, 1))
    assert {(row.club_id, row.item_id) for row in outstanding.rows(session, one)} == {(tokyo, gym.spin.id)}
    session.execute(text("UPDATE members SET is_test = true"))
    for report in (outstanding, months, used_share):
        assert report.rows(session, ask(session, NOW)) == []
    for wrong, error in (
        ({"club_id": tokyo, "club_ids": [gym.club.id]}, NotFound), ({"item_id": 99}, NotFound),
        ({"day": date(2024, 5, 9)}, DayNotOver), ({"since": date(2022, 1, 1)}, PeriodTooLong),
    ):  # fmt: skip
        with pytest.raises(error):
            ask(session, NOW, **wrong)


def test_a_query_that_takes_too_long_says_what_to_do(session: Session) -> None:
    session.execute(text("SET LOCAL statement_timeout = 20"))
    savepoint = session.begin_nested()
    with pytest.raises(ReportTooSlow, match="Choose one club"):
        run(session, text("SELECT pg_sleep(20)"), {})
    savepoint.rollback()
