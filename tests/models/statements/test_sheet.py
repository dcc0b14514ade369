"""A member's statement over local days: what it began with, what moved, what is left, and the same as CSV."""

import csv
from datetime import date, timedelta
from gettext import NullTranslations
from io import StringIO

import pytest
from sqlalchemy.orm import Session

from models.errors import DaysBackwards
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.redemptions import redeem
from models.members.memberships import Membership
from models.payments.facts import Reversed
from models.statements import sheet
from models.statements.sheet import Moved
from runtime.language import Language, speaking
from tests.models.gym import BY, CLASSES, DUES, NOW, PAID_AT, TRAININGS, Gym, expire_all, fresh, paid, tell

DAY = timedelta(days=1)
MARCH = {"first_day": date(2024, 3, 1), "last_day": date(2024, 3, 31)}


@pytest.fixture
def member(gym: Gym, session: Session) -> Membership:
    """Paid on March 1; used 5, one taken by hand, 2 expired. Paid on April 2, late in the evening; refunded."""
    membership = gym.join("sub")
    person, spin = membership.member_id, gym.spin.id
    tell(session, paid("in_1", "sub"))
    redeem(session, member_id=person, item_id=spin, quantity=5, key=fresh("key"), by=BY, now=NOW + DAY)
    adjustments.adjust(
        session, member_id=person, item_id=spin, quantity=-1, last_day=None, reason=AdjustmentReason.NO_SHOW,
        note="=1+1", alone_up_to=3, key=fresh("key"), by=BY, now=NOW + 2 * DAY,
    )  # fmt: skip
    expire_all(session, NOW + 31 * DAY)
    late_evening = PAID_AT + 32 * DAY + timedelta(hours=13, minutes=20)
    tell(session, paid("in_2", "sub", at=late_evening), now=late_evening)
    tell(session, Reversed("in_2", late_evening + DAY, "refund:re", DUES, "USD"), now=late_evening + DAY)
    return membership


def test_it_begins_with_what_was_there_and_ends_with_what_is_left(
    gym: Gym, session: Session, member: Membership
) -> None:
    march = sheet.of_member(session, member.member, **MARCH)
    assert march.items == [
        Moved(gym.spin.id, "Spin", 0, CLASSES, 5, 0, 0, 1),
        Moved(gym.training.id, "Training", 0, TRAININGS, 0, 0, 0, 0),
    ]
    assert [one.quantity for one in march.entries] == [CLASSES, TRAININGS, -5, -1]
    april = sheet.of_member(session, member.member, first_day=date(2024, 4, 1), item_id=gym.spin.id)
    (spin,) = april.items
    assert spin == Moved(gym.spin.id, "Spin", 2, CLASSES, 0, 2, CLASSES, 0)
    assert (spin.left, april.entries[-1].balance, march.items[0].left) == (0, 0, spin.before)
    assert [one.quantity for one in april.entries] == [-2, CLASSES, -CLASSES]


def test_days_are_those_of_the_club(gym: Gym, session: Session, member: Membership) -> None:
    """It was April 3 in UTC already."""
    paid_on = [
        sheet.of_member(session, member.member, first_day=day, last_day=day)
        for day in (date(2024, 4, 2), date(2024, 4, 3))
    ]
    assert [[one.kind for one in made.entries] for made in paid_on] == [["grant", "grant"], ["clawback", "clawback"]]
    with pytest.raises(DaysBackwards):
        sheet.of_member(session, member.member, first_day=date(2024, 4, 3), last_day=date(2024, 4, 2))


def test_of_too_many_entries_it_has_the_newest_and_says_so(session: Session, member: Membership) -> None:
    cut, whole = (sheet.of_member(session, member.member, most=most) for most in (2, None))
    assert (cut.is_cut, cut.entries, whole.is_cut) == (True, whole.entries[-2:], False)
    assert cut.items == whole.items


def test_as_csv_every_entry_is_a_line_with_its_times_at_the_club(session: Session, member: Membership) -> None:
    made = sheet.of_member(session, member.member, **MARCH)
    lines = list(csv.DictReader(StringIO("".join(sheet.csv(made)))))
    assert len(lines) == len(made.entries)
    first, *_, last = lines
    assert (first["happened"], first["what"], first["item"], first["payment"]) == (
        "2024-03-01T09:00:00-06:00", "Payment credited", "Spin", "in_1",
    )  # fmt: skip
    assert (first["sessions"], first["balance"], first["left of the grant"]) == ("8", "8", "8")
    assert (first["last usable day"], last["sessions"], last["balance"], last["left of the grant"]) == (
        "2024-03-31", "-1", "2", "2",
    )  # fmt: skip
    assert last["note"] == "'=1+1"


def test_as_csv_it_is_the_same_in_every_language(
    session: Session, member: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, texts = sheet.of_member(session, member.member, **MARCH), NullTranslations()
    monkeypatch.setattr(texts, "gettext", "<{}>".format)
    english = list(sheet.csv(made))
    with speaking(Language("en_GB", texts)):
        assert made.period(date(2024, 4, 1)) == "<1 Mar 2024 to 31 Mar 2024>"
        assert list(sheet.csv(made)) == english
