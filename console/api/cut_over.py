"""The cut-over of a membership: from when on its payments count, with a preview of what a change of it moves."""

from datetime import datetime

from console.api.fields import REASON, TIME, Body, Moment, Why, field, parameter
from console.api.fields import Query as Parameters
from console.api.gate import change, read
from console.api.life import EXPECTED, TAG, Back, Preview, Settled, preview, settled
from console.request import actor, database, utc_now
from console.rows import row
from models.members.cut_over import CutOver as Done
from models.members.cut_over import set_cut_over
from models.members.memberships import Membership
from models.staff.accounts import Role

_FROM = "What was paid before this moment gives nothing here; null or left out: every payment counts."


class CutOverQuery(Parameters):
    """The cut-over to preview."""

    credits_from: Moment | None = parameter(_FROM, TIME, default=None)


class CutOverBody(Body):
    """From when on the payments of a membership count."""

    credits_from: Moment | None = field(_FROM, TIME)
    reason: Why = field(REASON, "She moved in from our earlier system.")
    expected: Back | None = field(EXPECTED, 12, default=None)


class CutOver(Settled):
    """The cut-over of a membership, and what the change has moved."""

    credits_from: datetime | None = field(_FROM, TIME)


@read("/memberships/<id:membership_id>/cut-over/preview", TAG)
def preview_cut_over(membership: Membership, query: CutOverQuery) -> Preview:
    """Preview another cut-over: which sessions it would take or give."""
    if query.credits_from == membership.credits_from:
        return Preview(moves=[], brought_back=0, waiting=0)
    return preview(lambda: _act(membership, query.credits_from, "preview"))


@change("/memberships/<id:membership_id>/cut-over", TAG, Role.MANAGER)
def change_cut_over(membership_id: int, body: CutOverBody) -> CutOver:
    """Let only payments from a moment on count, because an earlier system gave what was paid before.

    Such payments get the state `before_cut_over`, also those that arrive later, and stand in no review. Money of
    them that goes back does: nothing is taken for it.
    """
    membership = row(Membership, membership_id)
    if body.credits_from == membership.credits_from:
        return CutOver(credits_from=membership.credits_from, moved=[], brought_back=0, waiting=0)
    _, moved = settled(lambda: _act(membership, body.credits_from, body.reason), body.expected)
    return CutOver(credits_from=membership.credits_from, **moved)


def _act(membership: Membership, credits_from: datetime | None, reason: str) -> Done:
    return set_cut_over(database(), membership, credits_from, reason=reason, by=actor(), now=utc_now())
