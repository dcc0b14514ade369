"""What expires next, by the local days of each club, and its export in batches."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

from sqlalchemy.orm import Session

from console import expiring_csv
from models.catalogue.clubs import Club
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.statements import expiring
from tests.models.gym import BY, CLASSES, Gym, fresh, paid, tell

NOW = datetime(2024, 3, 31, 3, tzinfo=UTC)
"""In Chicago still the evening of the 30th."""


def pay(gym: Gym, reference: str, day: datetime, club: Club | None = None) -> None:
    """Good for 30 days: paid on the 1st, for the last time on the 31st."""
    gym.join(reference, club=club)
    tell(gym.session, paid(f"in_{reference}", reference, at=day), now=day)


def test_days_are_those_of_the_club(gym: Gym, session: Session) -> None:
    tokyo = Club(name="Tokyo", time_zone="Asia/Tokyo", currency="USD")
    session.add(tokyo)
    session.flush()
    pay(gym, "here", datetime(2024, 2, 29, 18, tzinfo=UTC))  # to the 30th, which is today
    pay(gym, "there", datetime(2024, 2, 29, 18, tzinfo=UTC), tokyo)  # the 1st in Tokyo: to the 31st, today there
    pay(gym, "tomorrow", datetime(2024, 3, 1, 18, tzinfo=UTC))
    told = [(one.club, one.today, one.tomorrow, one.sessions, one.grants) for one in expiring.summary(session, NOW)]
    assert told == [("Downtown", CLASSES, CLASSES, 2 * CLASSES, 2), ("Tokyo", CLASSES, 0, CLASSES, 1)]
    assert [one.sessions for one in expiring.summary(session, NOW, days=1)] == [CLASSES, CLASSES]


def test_what_was_given_by_hand_has_the_days_of_the_members_newest_club(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    now = datetime.now(UTC)
    adjustments.adjust(
        session,
        member_id=membership.member_id,
        item_id=gym.spin.id,
        quantity=3,
        note="A gift",
        last_day=now.date() + timedelta(days=2),
        reason=AdjustmentReason.GOODWILL,
        alone_up_to=10,
        key=fresh("key"),
        by=BY,
        now=now,
    )
    assert [(one.club, one.item, one.sessions) for one in expiring.summary(session, now)] == [("Downtown", "Spin", 3)]


def test_the_export_has_every_lot_once_however_it_is_cut(gym: Gym, session: Session) -> None:
    """Many expire at the same midnight."""
    for number in range(7):
        pay(gym, f"sub_{number}", datetime(2024, 3, 1 + number // 4, 18, tzinfo=UTC))
    whole = "".join(expiring_csv.lines(session, NOW, days=7))
    assert len(list(csv.reader(StringIO(whole)))) == 1 + 7
    for limit in (1, 2, 3, 7):
        assert "".join(expiring_csv.lines(session, NOW, days=7, limit=limit)) == whole
