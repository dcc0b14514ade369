"""A membership whose yearly dues release its sessions month by month, and times in Chicago."""

from datetime import UTC, datetime

from models.members.memberships import Membership
from tests.models.gym import DUES, Gym, paid, tell

PAID = datetime(2023, 1, 31, 18, tzinfo=UTC)
"""Noon in Chicago."""
FEB_28 = datetime(2023, 2, 28, 6, tzinfo=UTC)
"""The beginning of that day in Chicago."""
MONTHS = 12


def by_the_year(gym: Gym) -> None:
    """Who joins from now on pays dues for a year, which give 8 classes and 2 trainings every month."""
    gym.term.interval, gym.term.release = "year", "monthly"
    gym.session.commit()


def yearly_member(gym: Gym, reference: str = "sub") -> Membership:
    """A member who paid `in` on Jan 31: tranches on that day, Feb 28, Mar 31, and so on until Dec 31."""
    by_the_year(gym)
    membership = gym.join(reference)
    tell(gym.session, paid("in", reference, at=PAID, amount=DUES), now=PAID)
    return membership
