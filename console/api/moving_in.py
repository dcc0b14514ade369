"""Moving in: what is left after an import, until payments and memberships have found each other."""

from collections.abc import Sequence
from datetime import datetime

from flask import current_app
from flask_openapi3 import Tag

from console.api import paging
from console.api.fields import TIME, Answer, field, id_of
from console.api.gate import read
from console.api.paging import Listing, PageQuery
from console.bounds import club_ids
from console.request import database, utc_now
from models.operations import first_steps
from models.operations.first_steps import StepName
from models.statements import moving_in
from models.statements.moving_in import Unbilled, Unheard

TAG = Tag(name="Moving in", description="What is left after an import, until every payment has found its membership.")


class MovingIn(Answer):
    """How much is left; all 0 when everything has found its place."""

    references: int = field("Billing references that no payment, and nothing else, has named.", 3)
    unmatched: int = field("Payments that no membership has: `GET /reviews?reason=unmatched` lists them.", 0)
    memberships: int = field("Memberships without a billing reference.", 1)


class LeftMembership(Answer):
    """A membership without a billing reference, so that no payment can find it."""

    membership_id: int = id_of("membership")
    member_id: int = id_of("member")
    offer: str = field("The offer that it has.", "Gold")
    club: str = field("Its club.", "Downtown")
    joined_at: datetime = field("When the membership was recorded.", TIME)


class UnheardReference(Answer):
    """A billing reference that nothing has named yet."""

    endpoint: str = field("The webhook endpoint.", "stripe")
    reference: str = field("The processor's id.", "sub_8Hx2")
    known_since: datetime = field("Since when the membership has it.", TIME)


class UnheardMembership(Answer):
    """A membership with billing references that nothing has named yet."""

    membership_id: int = id_of("membership")
    member_id: int = id_of("member")
    offer: str = field("The offer that it has.", "Gold")
    club: str = field("Its club.", "Downtown")
    references: list[UnheardReference] = field("These references.", [])


class LeftMemberships(Listing[LeftMembership]):
    """Memberships without a billing reference, by their ids."""


class UnheardMemberships(Listing[UnheardMembership]):
    """Memberships with references never heard of, by their ids."""


class FirstStep(Answer):
    """One of the first steps of a new installation."""

    name: StepName = field("Which one.", "club")
    what: str = field("What to do, in words.", "Add your club")
    done: bool = field("Whether it is done.", True)
    hint: str = field("What stands before the first payment that gives sessions; otherwise empty.", "")


class FirstSteps(Answer):
    """What has to be there before a payment can give sessions."""

    steps: list[FirstStep] = field("The steps in their order; empty as soon as a payment has given sessions.", [])


@read("/first-steps", TAG)
def get_first_steps() -> FirstSteps:
    """Say which of the first steps are done, from the first club to the first payment that gives sessions."""
    found = first_steps.first_steps(database(), has_endpoint=bool(current_app.config["SPP"].endpoints))
    return FirstSteps(steps=[FirstStep.of(one) for one in found.steps] if found else [])


@read("/moving-in", TAG)
def get_moving_in() -> MovingIn:
    """Say how much is left after an import."""
    return MovingIn.of(moving_in.counts(database(), utc_now(), club_ids()))


@read("/moving-in/references", TAG)
def list_unheard_references(query: PageQuery) -> UnheardMemberships:
    """List the memberships that go on and have billing references that nothing has named yet."""
    last = query.last_seen("unheard")
    found = moving_in.unheard(database(), utc_now(), limit=query.limit + 1, after=last, club_ids=club_ids())
    rows = [UnheardMembership.of(one) for one in found[: query.limit]]
    return UnheardMemberships(data=rows, next_cursor=_cursor("unheard", found, query.limit))


@read("/moving-in/memberships", TAG)
def list_memberships_without_reference(query: PageQuery) -> LeftMemberships:
    """List the memberships that go on and have no billing reference."""
    last = query.last_seen("unbilled")
    found = moving_in.unbilled(database(), utc_now(), limit=query.limit + 1, after=last, club_ids=club_ids())
    rows = [LeftMembership.of(one) for one in found[: query.limit]]
    return LeftMemberships(data=rows, next_cursor=_cursor("unbilled", found, query.limit))


def _cursor(what: str, found: Sequence[Unheard] | Sequence[Unbilled], limit: int) -> str | None:
    return paging.cursor(what, found[limit - 1].membership_id if len(found) > limit else None)
