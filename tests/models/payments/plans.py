"""Memberships under plans of a test's own making: dues that are not by the month, or not all at once."""

from collections.abc import Mapping
from typing import Any

from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from tests.models.gym import BY, DUES, ENDPOINT, NOW, Gym, fresh


def plan(gym: Gym, gives: Mapping[Item, tuple[int, int]], *, dues: int = DUES, **term: Any) -> PaymentTerm:
    """A term on sale: item -> sessions and days to expire; `term` has its other columns."""
    offer = Offer(name=fresh("Offer"))
    offer.set_bucket_limits(min(1, len(gives)), max(1, len(gives)))
    made = PaymentTerm(name="Term", dues_minor=dues, currency=gym.club.currency, **term)
    offer.terms.append(made)
    gym.session.add(offer)
    gym.session.flush()
    for item, (quantity, days) in gives.items():
        made.set_bucket(offer.add_bucket(item), quantity=quantity, days_to_expire=days)
    offer.publish()
    gym.session.commit()
    return made


def join(gym: Gym, term: PaymentTerm, *references: str) -> Membership:
    """A new member of the club under that term, with all its items; found by these references, shared or not."""
    picks = [entry.bucket.item for entry in term.bucket_terms]
    email = fresh("member") + "@example.com"
    membership = sign_up(gym.session, email=email, name="Ada", club=gym.club, term=term, picks=picks, by=BY, now=NOW)
    for reference in references:
        add_billing_reference(gym.session, membership, ENDPOINT, reference, by=BY, shared=True)
    return membership
