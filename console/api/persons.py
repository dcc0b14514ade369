"""Who a member is: merging two members that are one person, and erasing a person."""

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import Field

from console.api.fields import Answer, Body, Day, Id, Text, Why, field, id_of
from console.api.gate import act, person, read
from console.api.members import TAG, Member, shown
from console.request import database
from models.inbox import erasing
from models.ledger import merging
from models.members.memberships import MAX_EMAIL_LENGTH
from models.staff.accounts import Role


class MergeBody(Body):
    """The member that goes, and why."""

    from_member_id: Id = field("The member that goes: what it has goes to the one in the path.", 2)
    reason: Why = field("The reason.", "Signed up twice, with two addresses.")


class UndoMergeBody(Body):
    """Why a merge is undone."""

    reason: Why = field("The reason.", "Two people of one name.")


class ErasureBody(Body):
    """Who asked for an erasure, and the address, which confirms it."""

    confirm: Annotated[Text, Field(max_length=MAX_EMAIL_LENGTH)] = field(
        "The member's e-mail address, to confirm that this person is meant.", "ada@example.com"
    )
    request: Why = field(
        "Who asked for it, and how; kept in the action log without name and address.", "By letter, from the member."
    )
    asked_on: Day = field("The day on which it was asked for.", "2026-03-01")


class Merge(Answer):
    """Two members that are one person, and what moves from one to the other."""

    member_id: int = id_of("member that stays")
    from_member_id: int = field("The id of the member that goes.", 2)
    words: str = field(
        "What moves, in a sentence.",
        "1 membership, 1 billing reference, and 2 grants with 8 Spin sessions move from Ada, ada@example.org "
        "(member 2) to Ada, ada@example.com (member 1).",
    )


class Erasure(Answer):
    """What was erased of a person, and what could not be."""

    member_id: int = id_of("member")
    asked_on: date = field("The day on which it was asked for.", "2026-03-01")
    events: int = field("Webhook events whose bodies and fetched resources are gone.", 12)
    bytes: int = field("Their size.", 20480)
    acts: int = field("Actions in whose subject or reason the name or the address was replaced.", 3)
    answers: int = field("Kept answers of this API, likewise.", 1)
    sealed: int = field("Notes that may name the person, and stay because the ledger's chain covers them.", 0)


@read("/members/<id:member_id>/merges/<id:from_member_id>", TAG)
def preview_merge(member_id: int, from_member_id: int) -> Merge:
    """Look at what a merge of two members would move. Changes nothing."""
    return _shown(merging.plan(database(), from_member_id, member_id, now=datetime.now(UTC)))


@act("/members/<id:member_id>/merges", TAG, "/members/{member_id}", Role.MANAGER)
def merge_members(member_id: int, body: MergeBody) -> Merge:
    """Let the member have all that another one has, which is the same person.

    It can be undone for a day. The id of the other leads to this one, in every path and body.
    """
    now = datetime.now(UTC)
    return _shown(merging.merge(database(), body.from_member_id, member_id, reason=body.reason, by=person(), now=now))


@act("/members/<id:from_member_id>/unmerge", TAG, "/members/{id}", Role.MANAGER)
def undo_merge(from_member_id: int, body: UndoMergeBody) -> Member:
    """Give a member that was merged what the merge moved back, within a day.

    What was paid on its memberships since comes with them; what was used of them since stays used.
    """
    now = datetime.now(UTC)
    return shown(merging.undo(database(), from_member_id, reason=body.reason, by=person(), now=now))


@act("/members/<id:member_id>/erasure", TAG, "/members/{member_id}", Role.MANAGER)
def erase_member(member_id: int, body: ErasureBody) -> Erasure:
    """Erase a person: the name, the address and what processors sent of the payer go, the ledger stays.

    It cannot be undone. A later payment is not credited: it stands in review.
    """
    erased = erasing.erase(database(), member_id, **dict(body), by=person(), now=datetime.now(UTC))
    return Erasure.of(erased, asked_on=body.asked_on)


def _shown(made: merging.Merge) -> Merge:
    return Merge(member_id=made.stays.id, from_member_id=made.gone.id, words=made.words)
