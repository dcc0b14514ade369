"""Changes by hand: sessions given or taken with a reason, and later expiries."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from flask import current_app
from flask_openapi3 import Tag
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from console.api import paging
from console.api.fields import TIME, Answer, Body, Day, Id, KeyHeader, Why, field, id_of, parameter, whole
from console.api.gate import act, is_manager, person, read
from console.api.members import Grant
from console.api.paging import Listing, PageQuery
from console.bounds import club_ids
from console.request import database
from models.catalogue.rules import MAX_QUANTITY
from models.errors import NotFound, NotYours
from models.ledger import adjustments
from models.ledger.adjustments import Adjustment as Asked
from models.ledger.adjustments import AdjustmentReason
from models.ledger.tables import CreditGrant
from models.members.memberships import with_merged
from models.staff.accounts import Role
from models.statements import statement

TAG = Tag(name="Adjustments", description="Sessions given, taken or extended by hand, each with its reason.")


class AdjustmentState(StrEnum):
    """The state of an adjustment."""

    WAITING = "waiting"
    APPLIED = "applied"
    DECLINED = "declined"


class AdjustmentQuery(PageQuery):
    """The adjustments to list."""

    member_id: Id | None = parameter("Those of this member.", 1, default=None)
    state: AdjustmentState | None = parameter("Those in this state.", "waiting", default=None)


class AdjustmentBody(Body):
    """Sessions to give or to take."""

    member_id: Id = field("The member.", 1)
    item_id: Id = field("The session item.", 1)
    quantity: Annotated[int, Field(ge=-MAX_QUANTITY, le=MAX_QUANTITY), whole] = field(
        "Sessions to give (plus) or to take (minus).", 2
    )
    last_day: Day | None = field(
        "The last day, at the member's club, on which given sessions can be used; null or left out: for ever.",
        None,
        default=None,
    )
    reason: AdjustmentReason = field("The kind of reason.", "goodwill")
    note: Why = field("The reason in a sentence.", "The coach was ill.")


class ExtensionBody(Body):
    """A later expiry of a grant."""

    last_day: Day = field("The new last day on which the sessions can be used, at the club.", "2026-12-31")
    reason: Why = field("The reason.", "The club was closed.")


class Adjustment(Answer):
    """Sessions given or taken by hand, or a request to do so."""

    id: int = id_of("adjustment")
    member_id: int = id_of("member")
    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions given (plus) or taken (minus).", 2)
    expires_at: datetime | None = field("When given sessions expire; null if never.", None)
    reason: AdjustmentReason = field("The kind of reason.", "goodwill")
    note: str = field("The reason in a sentence.", "The coach was ill.")
    state: AdjustmentState = field(
        "It has taken effect (`applied`), waits until a second person approves it (`waiting`), or was declined "
        "(`declined`).",
        "applied",
    )
    asked_by: str = field("The account that asked for it.", "manager@example.com")
    asked_at: datetime = field("When it was asked for.", TIME)
    decided_by: str | None = field("The account that applied or declined it.", "manager@example.com")
    decided_at: datetime | None = field("When it was applied or declined; null while it waits.", TIME)


class Adjustments(Listing[Adjustment]):
    """Adjustments, the newest first."""


@read("/adjustments", TAG)
def list_adjustments(query: AdjustmentQuery) -> Adjustments:
    """List adjustments; with `state=waiting`, those that wait for a second person."""
    rows = select(Asked).options(selectinload(Asked.item)).where(adjustments.of_clubs(club_ids()))
    if query.member_id is not None:
        rows = rows.where(Asked.member_id.in_(with_merged(database(), query.member_id)))
    if query.state is not None:
        rows = (
            rows.where(Asked.decided_at.is_(None))
            if query.state == AdjustmentState.WAITING
            else rows.where(Asked.approved.is_(query.state == AdjustmentState.APPLIED))
        )
    found, following = paging.page(rows, Asked.id, query, newest=True)
    return Adjustments(data=[_shown(one) for one in found], next_cursor=following)


@read("/adjustments/<id:adjustment_id>", TAG)
def get_adjustment(adjustment: Asked) -> Adjustment:
    """Get an adjustment."""
    return _shown(adjustment)


@act("/adjustments", TAG, "/adjustments/{id}", Role.DESK)
def adjust(header: KeyHeader, body: AdjustmentBody) -> Adjustment:
    """Give a member sessions or take some, with a reason.

    More sessions than one person may give or take alone wait until a second person, a manager, approves them.
    """
    alone_up_to: int = current_app.config["SPP"].adjust_alone_up_to
    made = adjustments.adjust(
        database(), **dict(body), alone_up_to=alone_up_to, key=header.key, by=person(), now=datetime.now(UTC)
    )
    return _shown(made)


@act("/adjustments/<id:adjustment_id>/approvals", TAG, "/adjustments/{id}", Role.MANAGER)
def approve(adjustment_id: int) -> Adjustment:
    """Let an adjustment that waits take effect, as its second person: not the one who asked for it."""
    return _shown(adjustments.decide(database(), adjustment_id, approve=True, by=person(), now=datetime.now(UTC)))


@act("/adjustments/<id:adjustment_id>/declines", TAG, "/adjustments/{id}", Role.DESK)
def decline(adjustment_id: int) -> Adjustment:
    """Decline an adjustment that waits.

    Who asked for it can withdraw it; a manager can decline anybody's.
    """
    asked = database().get(Asked, adjustment_id)
    if asked and not adjustments.may_decline(asked, person(), is_manager=is_manager()):
        raise NotYours(adjustment=adjustment_id)
    return _shown(adjustments.decide(database(), adjustment_id, approve=False, by=person(), now=datetime.now(UTC)))


@read("/grants/<id:grant_id>", TAG)
def get_grant(grant_id: int) -> Grant:
    """Get a credit grant."""
    return _grant(grant_id)


def _grant(grant_id: int) -> Grant:
    found = database().get(CreditGrant, grant_id)
    line = found and statement.grant(database(), found.member_id, grant_id, datetime.now(UTC))
    if line is None:
        raise NotFound(what="grant", name=grant_id)
    return Grant.model_validate(line)


@act("/grants/<id:grant_id>/extensions", TAG, "/grants/{id}", Role.MANAGER)
def extend(grant_id: int, body: ExtensionBody) -> Grant:
    """Let a credit grant expire later, with a reason."""
    adjustments.extend(
        database(), grant_id, last_day=body.last_day, reason=body.reason, by=person(), now=datetime.now(UTC)
    )
    return _grant(grant_id)


def _shown(one: Asked) -> Adjustment:
    states = {None: AdjustmentState.WAITING, True: AdjustmentState.APPLIED, False: AdjustmentState.DECLINED}
    return Adjustment.of(one, item=one.item.name, state=states[one.approved])
