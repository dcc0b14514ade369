"""The payments in review, and what staff answer: they are accepted as they are, one by one or all of a kind at once.

Other answers are acts of their own, after which settling takes the reason away or a person accepts it: a link
(models/members/memberships.py), a mark as not dues (not_dues.py), sessions given or taken by hand.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import CountChanged, WrongState
from models.payments.reviews import ReviewReason
from models.staff import actions, theirs
from models.staff.actions import Actor
from models.staff.theirs import Clubs

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PaidFor(NamedTuple):
    """A membership that a payment is for."""

    membership_id: int
    member_id: int
    member: str


class Credited(NamedTuple):
    """Sessions of an item that a payment gave a membership, less those that were taken back."""

    membership_id: int
    item_id: int
    item: str
    quantity: int


class Place(NamedTuple):
    """A place in the list, after which a page goes on."""

    since: datetime
    payment_id: int

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """The place that was written so; None for other text."""
        if not (found := re.fullmatch("([0-9]{1,17})-([1-9][0-9]{0,17})", text, re.ASCII)):
            return None
        return cls(_EPOCH + timedelta(microseconds=int(found[1])), int(found[2]))

    def __str__(self) -> str:
        """The microseconds since 1970, and the payment's id."""
        return f"{(self.since - _EPOCH) // timedelta(microseconds=1)}-{self.payment_id}"


class InReview(NamedTuple):
    """A payment in review, with every reason that is open."""

    payment_id: int
    endpoint: str
    payment: str
    amount_minor: int
    currency: str
    paid_at: datetime
    since: datetime
    """When it first had one of these reasons."""
    reasons: Sequence[tuple[ReviewReason, str]]
    """Each reason, and its sentence."""
    waits_for: Sequence[str]
    """The references by which what is unmatched of it would find its membership."""
    memberships: Sequence[PaidFor]
    """Every membership that it is for; none while it is nobody's."""
    credited: Sequence[Credited]

    @property
    def place(self) -> Place:
        """Its place in the list."""
        return Place(self.since, self.payment_id)

    @property
    def members(self) -> dict[int, str]:
        """The name of every member whom it is for, by the member's id."""
        return {one.member_id: one.member for one in self.memberships}

    def given(self, member_id: int) -> Sequence[Credited]:
        """What this member got of it, without what was taken back as a whole."""
        theirs = {one.membership_id for one in self.memberships if one.member_id == member_id}
        return [one for one in self.credited if one.quantity and one.membership_id in theirs]


_OF_MEMBER = """
    EXISTS (SELECT FROM memberships m WHERE m.member_id = :member AND (m.id = p.membership_id OR EXISTS (
        SELECT FROM payment_matches x WHERE x.payment_id = p.id AND x.membership_id = m.id)))
"""

_PAGE = text(f"""
    WITH wanted AS (
        SELECT r.payment_id, min(r.recorded_at) AS since,
               array_agg(r.reason ORDER BY r.reason) AS reasons, array_agg(r.what ORDER BY r.reason) AS sentences
        FROM payment_reviews r
        JOIN payments p ON p.id = r.payment_id
        WHERE r.answered_by IS NULL
          AND (CAST(:payment AS bigint) IS NULL OR r.payment_id = :payment)
          AND (CAST(:endpoint AS text) IS NULL OR p.endpoint = :endpoint)
          AND (CAST(:member AS bigint) IS NULL OR {_OF_MEMBER})
          AND {theirs.payment("p.id")}
        GROUP BY r.payment_id
        HAVING (CAST(:reason AS text) IS NULL OR :reason = ANY(array_agg(r.reason)))
           AND (CAST(:after_at AS timestamptz) IS NULL
                OR (min(r.recorded_at), r.payment_id) > (:after_at, CAST(:after AS bigint)))
        ORDER BY since, r.payment_id
        LIMIT :limit
    )
    SELECT w.payment_id, p.endpoint, p.reference, p.amount_minor, p.currency, p.paid_at, w.since, w.reasons,
           w.sentences, coalesce(p.billing_references, '{{}}') AS waits_for, paid_for.memberships, given.credited
    FROM wanted w
    JOIN paid_payments p ON p.id = w.payment_id
    CROSS JOIN LATERAL (
        SELECT array_agg(ARRAY[CAST(m.id AS text), CAST(n.id AS text), n.name]
                         ORDER BY m.id <> p.membership_id, m.id) AS memberships
        FROM (
            SELECT p.membership_id AS id
            UNION SELECT further.membership_id FROM payment_matches further WHERE further.payment_id = p.id
        ) one
        JOIN memberships m ON m.id = one.id
        JOIN members n ON n.id = m.member_id
    ) paid_for
    CROSS JOIN LATERAL (
        SELECT array_agg(ARRAY[CAST(i.membership_id AS text), CAST(i.id AS text), i.name, CAST(i.kept AS text)]
                         ORDER BY i.membership_id <> p.membership_id, i.membership_id, i.name) AS credited
        FROM (SELECT g.membership_id, items.id, items.name, sum(g.quantity - g.reversed) AS kept
              FROM payments row JOIN credit_grants g ON g.payment_id = row.id JOIN items ON items.id = g.item_id
              WHERE row.root_id = p.id GROUP BY g.membership_id, items.id) i
    ) given
    ORDER BY w.since, w.payment_id
""")


def page(
    session: Session, *, limit: int | None = None, reason: ReviewReason | None = None, endpoint: str | None = None,
    member_id: int | None = None, after: Place | None = None, club_ids: Clubs = None,
) -> list[InReview]:  # fmt: skip
    """The payments in review, of these clubs, the longest waiting first; `after` is the place of the last one seen."""
    at, last = after or (None, None)
    wanted = {"reason": reason, "endpoint": endpoint, "member": member_id, "clubs": theirs.written(club_ids)}
    return _read(session, **wanted, after_at=at, after=last, limit=limit)


def of_payment(session: Session, payment_id: int) -> InReview | None:
    """The payment with this root, if it stands in review."""
    return next(iter(_read(session, payment=payment_id, limit=1)), None)


def _read(session: Session, **wanted: object) -> list[InReview]:
    values = dict.fromkeys(("payment", "reason", "member", "endpoint", "after_at", "after", "clubs"))
    return [
        InReview(
            row.payment_id, row.endpoint, row.reference, row.amount_minor, row.currency, row.paid_at, row.since,
            [(ReviewReason(reason), what) for reason, what in zip(row.reasons, row.sentences, strict=True)],
            row.waits_for,
            [PaidFor(int(membership), int(member), name) for membership, member, name in row.memberships or ()],
            [Credited(int(membership), int(item_id), item, int(quantity))
             for membership, item_id, item, quantity in row.credited or ()],
        )
        for row in session.execute(_PAGE, {**values, **wanted})
    ]  # fmt: skip


_COUNTS = text(f"""
    SELECT r.reason, count(DISTINCT r.payment_id) FROM payment_reviews r JOIN payments p ON p.id = r.payment_id
    WHERE r.answered_by IS NULL AND (CAST(:endpoint AS text) IS NULL OR p.endpoint = :endpoint)
      AND (CAST(:member AS bigint) IS NULL OR {_OF_MEMBER})
      AND {theirs.payment("p.id")}
    GROUP BY GROUPING SETS ((r.reason), ())
    ORDER BY 2 DESC, 1
""")


class Counts(NamedTuple):
    """How many payments stand in review."""

    payments: int
    by_reason: dict[ReviewReason, int]
    """For each reason, the most frequent first; a payment can have several."""


def counts(
    session: Session, endpoint: str | None = None, member_id: int | None = None, club_ids: Clubs = None
) -> Counts:
    """How many payments of the endpoint, of the member and of these clubs stand in review."""
    wanted = {"endpoint": endpoint, "member": member_id, "clubs": theirs.written(club_ids)}
    rows = session.execute(_COUNTS, wanted).all()
    by_reason = {ReviewReason(reason): count for reason, count in rows if reason}
    return Counts(next((count for reason, count in rows if not reason), 0), by_reason)


_ACCEPT = text("UPDATE payment_reviews SET answered_by = :act WHERE payment_id = :payment AND answered_by IS NULL")


def accept(session: Session, payment_id: int, *, reason: str, by: Actor) -> None:
    """Take the payment off the list as it is. It comes back if anything about it changes.

    One that gave nothing still settles if a membership gets its reference. Raises WrongState for a payment that is not
    in review, ReasonMissing or TextTooLong.
    """
    reason = actions.reason_given(reason)
    found = of_payment(session, payment_id)
    if found is None:
        raise WrongState(what=f"Payment {payment_id}", state="not in review", verb="accepted")
    subject = f"payment {found.payment_id}, {found.payment} on {found.endpoint}"
    member_id = next(iter(found.members), None)
    act = actions.log(session, by, "accept payment", subject, reason=reason, member_id=member_id)
    session.execute(_ACCEPT, {"act": act, "payment": found.payment_id})


_ACCEPT_KIND = text(f"""
    UPDATE payment_reviews r SET answered_by = :act FROM payments p
    WHERE p.id = r.payment_id AND r.answered_by IS NULL AND r.reason = :reason
      AND (CAST(:endpoint AS text) IS NULL OR p.endpoint = :endpoint) AND {theirs.payment("p.id")}
""")


def accept_all(
    session: Session, kind: ReviewReason, *, expected: int, reason: str, by: Actor, endpoint: str | None = None,
    club_ids: Clubs = None,
) -> int:  # fmt: skip
    """Accept this reason for all payments of these clubs that have it. Returns how many.

    `expected` is the number that the person has seen and confirmed. Raises CountChanged if it is another now,
    ReasonMissing or TextTooLong.
    """
    reason = actions.reason_given(reason)
    where = f" on {endpoint}" if endpoint else ""
    act = actions.log(session, by, "accept payments", f"{expected} payments in review as {kind}{where}", reason=reason)
    wanted = {"act": act, "reason": kind, "endpoint": endpoint, "clubs": theirs.written(club_ids)}
    accepted = session.connection().execute(_ACCEPT_KIND, wanted).rowcount
    if accepted != expected:
        raise CountChanged(expected=expected, found=accepted)
    return accepted
