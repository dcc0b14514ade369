"""A small gym for trying things out."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from local import endpoints
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.members.lookup import find_member
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.staff.actions import Actor

CLUB, OFFER, TERM = "Riverside", "All In", "Monthly"
PERSONAL_TRAINING, CLASSES, YOGA, SPIN = "Personal Training", "Group Class", "Yoga", "Spin"

BY = Actor("sample gym", "command line")

BUCKETS = {PERSONAL_TRAINING: (4, 30), CLASSES: (8, 0), YOGA: (5, 45), SPIN: (3, 30)}
"""Item -> sessions per payment of dues, days to expire."""

MEMBERS = {
    "ann@example.com": ("Ann Archer", [PERSONAL_TRAINING, CLASSES]),
    "ben@example.com": ("Ben Bishop", [PERSONAL_TRAINING, YOGA]),
    "cem@example.com": ("Cem Celik", [PERSONAL_TRAINING, SPIN]),
}


def make(session: Session) -> list[Membership]:
    """Make the gym's catalogue and three members, as far as they do not exist; returns their memberships."""
    if session.scalar(select(Club).where(Club.name == CLUB)) is None:
        _make_catalogue(session)
    for email, (name, picks) in MEMBERS.items():
        if find_member(session, email) is None:
            subscription = f"sub_{name.split()[0].lower()}"
            join(session, email, name, picks, [(endpoint, subscription) for endpoint in endpoints.ENDPOINTS])
    found = [find_member(session, email) for email in MEMBERS]
    return [membership for member in found if member for membership in member.memberships]


def join(session: Session, email: str, name: str, picks: list[str], references: list[tuple[str, str]]) -> Membership:
    """Sign a person up for the sample offer with these billing references (endpoint, reference)."""
    club = session.scalars(select(Club).where(Club.name == CLUB)).one()
    term = session.scalars(select(PaymentTerm).where(PaymentTerm.name == TERM)).one()
    items = list(session.scalars(select(Item).where(Item.name.in_(picks))))
    membership = sign_up(
        session, email=email, name=name, club=club, term=term, picks=items, by=BY, now=datetime.now(UTC)
    )
    for endpoint, reference in references:
        add_billing_reference(session, membership, endpoint, reference, by=BY)
    return membership


def _make_catalogue(session: Session) -> None:
    club = Club(name=CLUB, time_zone="America/Chicago", currency="USD")
    kinds = {name: "personal_training" if name == PERSONAL_TRAINING else "class" for name in BUCKETS}
    items = {name: Item(name=name, kind="scheduler_bucket", session_type=kind) for name, kind in kinds.items()}
    offer = Offer(name=OFFER)
    offer.set_bucket_limits(1, 2)
    term = PaymentTerm(name=TERM, dues_minor=8900, currency="USD", interval="month")
    offer.terms.append(term)
    session.add_all([club, Item(name="Towel", kind="other"), offer, *items.values()])
    session.flush()
    buckets = {name: offer.add_bucket(item, required=name == PERSONAL_TRAINING) for name, item in items.items()}
    session.flush()
    for name, (quantity, days) in BUCKETS.items():
        term.set_bucket(buckets[name], quantity=quantity, days_to_expire=days)
    offer.publish()
    session.flush()
