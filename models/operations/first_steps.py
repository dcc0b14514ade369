"""The first steps of a new installation, from its first club to the first payment that gives sessions. Read only.

Each is done or not by what the database has; nobody ticks anything off. With the first credit the list is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.items import ItemKind
from models.catalogue.tables import OfferState
from runtime.language import Texts, say


class StepName(StrEnum):
    """What has to be there before a payment can give sessions."""

    CLUB = "club"
    ITEMS = "items"
    OFFER = "offer"
    ENDPOINT = "endpoint"
    MEMBERS = "members"
    PAYMENT = "payment"


class Hurdle(StrEnum):
    """Why the first payment has given no sessions yet."""

    NO_REFERENCE = "no_reference"
    """No membership has a billing reference, by which a payment would find it."""
    IN_REVIEW = "in_review"
    NO_EFFECT = "no_effect"
    """An event is in quarantine or was given up."""
    NOTHING_CAME = "nothing_came"


WORDS: Texts = {
    StepName.CLUB: "Add your club",
    StepName.ITEMS: "Add the session items",
    StepName.OFFER: "Publish an offer",
    StepName.ENDPOINT: "Connect your payment provider",
    StepName.MEMBERS: "Bring in your members",
    StepName.PAYMENT: "Credit the first payment",
}
HURDLES: Texts = {
    Hurdle.NO_REFERENCE: "Give a membership its billing reference, so that its payments find it",
    Hurdle.IN_REVIEW: "A payment came and is in review: look why",
    Hurdle.NO_EFFECT: "An event came and has no effect: look why",
    Hurdle.NOTHING_CAME: "No payment has come yet: make a small one at your payment provider, or try `spp send`",
}


class Step(NamedTuple):
    """One of the first steps."""

    name: StepName
    what: str
    """`Add your club`."""
    done: bool
    hurdle: Hurdle | None = None
    """What stands before the first credit."""
    at: int | None = None
    """The draft to publish, or the membership without a billing reference."""

    @property
    def hint(self) -> str:
        """What to do about the hurdle; empty without one."""
        return say(HURDLES[self.hurdle]) if self.hurdle else ""


@dataclass(frozen=True)
class FirstSteps:
    """All steps in their order. At least one is not done."""

    steps: Sequence[Step]

    @property
    def done(self) -> int:
        """How many are done."""
        return sum(step.done for step in self.steps)

    @property
    def next(self) -> Step:
        """The first that is not done."""
        return next(step for step in self.steps if not step.done)


_FOUND = text("""
    SELECT EXISTS (SELECT FROM credit_grants WHERE payment_id IS NOT NULL) AS credited,
           EXISTS (SELECT FROM clubs) AS club,
           EXISTS (SELECT FROM items WHERE kind = :bucket AND retired_at IS NULL) AS items,
           EXISTS (SELECT FROM offers WHERE state = :published) AS offer,
           (SELECT id FROM offers WHERE state = :draft ORDER BY id LIMIT 1) AS draft,
           EXISTS (SELECT FROM memberships) AS members,
           EXISTS (SELECT FROM billing_references) AS reference,
           (SELECT id FROM memberships ORDER BY id LIMIT 1) AS membership,
           EXISTS (SELECT FROM payment_reviews WHERE answered_by IS NULL) AS in_review,
           EXISTS (SELECT FROM webhook_events WHERE state IN ('quarantined', 'dead')) AS no_effect
""")


def first_steps(session: Session, *, has_endpoint: bool) -> FirstSteps | None:
    """The first steps; None as soon as a payment has given sessions."""
    states = {"bucket": ItemKind.SCHEDULER_BUCKET, "published": OfferState.PUBLISHED, "draft": OfferState.DRAFT}
    found = session.execute(_FOUND, states).one()
    if found.credited:
        return None
    done = {
        StepName.CLUB: found.club, StepName.ITEMS: found.items, StepName.OFFER: found.offer,
        StepName.ENDPOINT: has_endpoint, StepName.MEMBERS: found.members,
    }  # fmt: skip
    at = {StepName.OFFER: found.draft}
    steps = [Step(name, say(WORDS[name]), is_done, at=at.get(name)) for name, is_done in done.items()]
    hurdle = (
        Hurdle.IN_REVIEW if found.in_review
        else Hurdle.NO_EFFECT if found.no_effect
        else Hurdle.NOTHING_CAME if found.reference
        else Hurdle.NO_REFERENCE
    )  # fmt: skip
    last = Step(StepName.PAYMENT, say(WORDS[StepName.PAYMENT]), False, hurdle, found.membership)
    return FirstSteps([*steps, last])
