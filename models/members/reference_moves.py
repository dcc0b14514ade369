"""Billing references that a membership gives up: moved to another one, or removed; and what waits for a reference.

Payments that were matched stay with the membership that they were matched to, also where they are settled again: what
it had is kept (`FormerReference`). Main verb: `give_up`.
"""

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.database import locks
from models.errors import NotFound, SameMembership
from models.members.memberships import (
    BillingReference,
    FormerReference,
    Membership,
    lock_member,
    lock_reference,
    owners,
    refuse_live,
)
from models.members.settling_again import payments_of
from models.staff import actions
from models.staff.actions import Actor
from models.wording import joined
from runtime.language import say, say_n

_MATCHED = text(f"""
    SELECT count(*) FROM (
        {payments_of(":membership")}
    ) theirs
    JOIN payments p USING (id)
    WHERE p.endpoint = :endpoint AND EXISTS (
        SELECT FROM payments part JOIN payment_facts f ON f.payment_id = part.id AND f.kind = 'paid'
        WHERE part.root_id = p.id
          AND (:reference = ANY(f.billing_references) OR jsonb_exists(f.shape -> 'payer', :reference)
               OR jsonb_path_exists(f.shape, '$.lines[*][0][*] ? (@ == $it)', jsonb_build_object('it', :reference)))
    )
""")

_WAITING = text("""
    SELECT count(*) FROM payments
    WHERE (state = 'unmatched' OR (state = 'settled' AND billing_references IS NOT NULL))
      AND endpoint = :endpoint AND :reference = ANY(billing_references)
""")


def waiting(session: Session, endpoint: str, reference: str) -> int:
    """How many payments wait, in whole or in part, for a membership with that billing reference."""
    found: int = session.scalars(_WAITING, {"endpoint": endpoint, "reference": reference}).one()
    return found


def preview(
    session: Session, membership: Membership, endpoint: str, reference: str, into: Membership | None = None
) -> str:
    """What giving up the reference would do to waiting, matched and coming payments, in words.

    `into` is the membership that gets it; without one it is removed. Raises MemberErased, NotFound or SameMembership.
    """
    for one in sorted({held.member_id for held in (membership, into) if held}):
        lock_member(session, one, field=None if one == membership.member_id else "to_membership_id")
    keys = {"endpoint": endpoint, "reference": reference}
    having = owners(session, endpoint, reference)
    if membership.id not in having:
        raise NotFound(
            field="reference",
            what=say("billing reference of membership {membership}:", membership=membership.id),
            name=reference,
        )
    if into is not None and into.id == membership.id:
        raise SameMembership(membership=into.id)
    matched = session.scalars(_MATCHED, {**keys, "membership": membership.id}).one()
    waits = waiting(session, endpoint, reference)
    after = sorted({one for one in having if one != membership.id} | ({into.id} if into else set()))
    if not after:
        comes = say("Payments to come with it wait in review until a membership has it.")
    elif len(after) == 1:
        comes = say("Payments to come with it count for membership {membership}.", membership=after[0])
    else:
        theirs = joined([str(one) for one in after])
        comes = say(
            "Payments to come with it are divided equally between memberships {memberships}.", memberships=theirs
        )
    parts = [comes]
    if matched:
        stays = say_n(
            "{n} payment that it has matched stays with membership {membership}.",
            "{n} payments that it has matched stay with membership {membership}.",
            matched,
            membership=membership.id,
        )
        parts.append(stays)
    else:
        parts.append(say("It has matched no payment yet."))
    if waits and after:
        parts.append(
            say_n(
                "{n} payment that waits for it will be matched.",
                "{n} payments that wait for it will be matched.",
                waits,
            )
        )
    return " ".join(parts)


def give_up(
    session: Session, membership: Membership, endpoint: str, reference: str, *, reason: str, by: Actor,
    into: Membership | None = None, is_test: bool = False,
) -> str:  # fmt: skip
    """Move a billing reference to the membership `into`, or remove it. Returns what that does, in words.

    Payments that wait for it are settled by the next sweep. `is_test` says that the endpoint is a test
    endpoint. Raises ReasonMissing, TextTooLong, MemberErased, NotFound, SameMembership or LiveEndpoint.
    """
    if into:
        refuse_live(into, endpoint, is_test=is_test)
    reason = actions.reason_given(reason)
    locks.change(session)  # before the reference, as settling takes the two in this order
    lock_reference(session, endpoint, reference)
    words = preview(session, membership, endpoint, reference, into)
    key = {"endpoint": endpoint, "reference": reference}
    had = {**key, "membership_id": membership.id}
    session.execute(delete(BillingReference).filter_by(**had))
    session.execute(insert(FormerReference).values(had).on_conflict_do_nothing())
    subject = f"{reference} on {endpoint} from membership {membership.id}"
    session.expire(membership, ["billing"])
    if into is None:
        actions.log(session, by, "remove billing reference", subject, member_id=membership.member_id, reason=reason)
        return words
    values = {**key, "membership_id": into.id}
    session.execute(insert(BillingReference).values(values).on_conflict_do_nothing())
    session.expire(into, ["billing"])
    for member_id in dict.fromkeys((membership.member_id, into.member_id)):  # each of the two has it in the log
        to = f"{subject} to membership {into.id}"
        actions.log(session, by, "move billing reference", to, member_id=member_id, reason=reason)
    return words
