"""Memberships: signing up, and the billing references by which payments find them."""

from datetime import UTC, datetime

from flask import current_app
from flask_openapi3 import Tag
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from console.api import paging
from console.api.fields import TIME, Answer, Body, Id, KeyHeader, Path, Text, field, id_of, parameter
from console.api.gate import PREFIX, Made, read, write
from console.api.members import MemberPath
from console.api.paging import Listing, PageQuery
from console.api.problems import Fields, beside
from console.api.rows import row
from console.web.access import actor, database
from models.catalogue.tables import Club, Item, PaymentTerm
from models.errors import (
    InvalidEmail,
    KeyReused,
    NameMissing,
    NotFound,
    PickNotOffered,
    PicksMissing,
    ReferenceTaken,
    TooFewPicks,
    TooManyPicks,
    WrongCurrency,
    WrongState,
)
from models.members import signing_up
from models.members.memberships import Membership as Bought
from models.members.memberships import MembershipTerms, PinnedTerms, add_billing_reference

_SIGN_UP: Fields = {
    InvalidEmail: "email", NameMissing: "name", WrongCurrency: "payment_term_id", WrongState: "payment_term_id",
    **dict.fromkeys((PickNotOffered, PicksMissing, TooFewPicks, TooManyPicks), "item_ids"),
}  # fmt: skip
TAG = Tag(name="Memberships", description="What members bought, and how payments find it.")


class MembershipPath(Path):
    """Which membership."""

    membership_id: Id = parameter("The membership's id.", 1)

    def bought(self) -> Bought:
        """The membership. Raises NotFound."""
        return row(Bought, "membership", self.membership_id)


class BillingReferenceBody(Body):
    """A processor's id by which payments find a membership."""

    endpoint: str = field("The webhook endpoint.", "stripe", pattern="^[a-z0-9][a-z0-9-]{0,62}$")
    reference: Text = field("The processor's id of the subscription, mandate or customer.", "sub_8Hx2", max_length=255)


class SignUpBody(Body):
    """A person and what they buy."""

    email: str = field(
        "Their e-mail address. One that is known gains a further membership and keeps its name.",
        "ada@example.com", max_length=320, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$",
    )  # fmt: skip
    name: Text = field("Their name.", "Ada Lovelace", max_length=200)
    club_id: Id = field("The club that they join.", 1)
    payment_term_id: Id = field("The payment term that they buy, and with it the offer.", 1)
    item_ids: list[Id] = field("The session items that they pick.", [1, 2], default=[], max_length=100)
    billing_references: list[BillingReferenceBody] = field(
        "By which their payments are found.", [{"endpoint": "stripe", "reference": "sub_8Hx2"}],
        default=[], max_length=20,
    )  # fmt: skip


class Pinned(Answer):
    """Sessions of one item that each paid dues give."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions for each paid dues.", 8)
    days_to_expire: int = field("Days in which to use them; 0 is for ever.", 30)


class Terms(Answer):
    """What a membership's dues give, since a moment."""

    since: datetime = field("Payments from then on.", TIME)
    dues_minor: int = field("The dues in minor units: 8900 is $89.00.", 8900)
    sessions: list[Pinned] = field("What they give.", [])


class BillingReference(Answer):
    """The processor's id by which a payment finds a membership."""

    endpoint: str = field("The webhook endpoint.", "stripe")
    reference: str = field("The processor's id.", "sub_8Hx2")


class Membership(Answer):
    """A member's bought offer, with its terms as they were at sign-up and as somebody moved them since."""

    id: int = id_of("membership")
    member_id: int = id_of("member")
    club_id: int = id_of("club")
    offer_id: int = id_of("offer")
    offer: str = field("The offer's name.", "Gold")
    payment_term_id: int = id_of("payment term")
    payment_term: str = field("The payment term's name.", "Monthly")
    currency: str = field("Of the dues, ISO 4217.", "USD")
    terms: list[Terms] = field("The oldest first.", [])
    billing_references: list[BillingReference] = field("By which payments find it.", [])
    recorded_at: datetime = field("When it was signed up.", TIME)


class Memberships(Listing[Membership]):
    """A member's memberships, the oldest first."""


@read("/members/<id:member_id>/memberships", Memberships, TAG)
def list_memberships(path: MemberPath, query: PageQuery) -> Memberships:
    """List a member's memberships, the oldest first."""
    pinned = selectinload(Bought.versions).selectinload(MembershipTerms.pinned).selectinload(PinnedTerms.item)
    rows = select(Bought).where(Bought.member_id == path.person().id)
    rows = rows.options(pinned, *(selectinload(part) for part in (Bought.offer, Bought.term, Bought.billing)))
    return Memberships(**paging.page(rows, Bought.id, query, _shown))


@read("/memberships/<id:membership_id>", Membership, TAG)
def get_membership(path: MembershipPath) -> Membership:
    """Get a membership."""
    return _shown(path.bought())


@write("/memberships", Membership, TAG)
def sign_up(header: KeyHeader, body: SignUpBody) -> Made:
    """Sign a member up.

    Payments that came before are credited soon after, found by their billing references.
    """
    now = datetime.now(UTC)
    with beside({NotFound: "club_id"}):
        club = row(Club, "club", body.club_id)
    with beside({NotFound: "payment_term_id"}):
        term = row(PaymentTerm, "payment term", body.payment_term_id)
    with beside({NotFound: "item_ids"}):
        picks = [row(Item, "item", item_id) for item_id in body.item_ids]
    with beside(_SIGN_UP):
        bought = signing_up.sign_up(
            database(), email=body.email, name=body.name, club=club, term=term, picks=picks, by=actor(), now=now,
            key=header.key,
        )  # fmt: skip
    replayed = bought.versions[0].since != now
    wanted = {(one.endpoint, one.reference) for one in body.billing_references}
    if replayed and not wanted <= {(one.endpoint, one.reference) for one in bought.billing}:
        raise KeyReused(key=header.key)
    for place, one in enumerate(body.billing_references):
        _add(bought, one, f"#/billing_references/{place}")
    return Made(_shown(bought), f"{PREFIX}/memberships/{bought.id}", replayed)


@write("/memberships/<id:membership_id>/billing-references", Membership, TAG)
def add_billing(path: MembershipPath, body: BillingReferenceBody) -> Made:
    """Add a billing reference; again is no change.

    Payments that came before are credited soon after.
    """
    bought = path.bought()
    _add(bought, body, "#")
    return Made(_shown(bought), f"{PREFIX}/memberships/{bought.id}")


def _add(bought: Bought, one: BillingReferenceBody, within: str) -> None:
    with beside({NotFound: "endpoint", ReferenceTaken: "reference"}, within):
        if current_app.config["SPP"].endpoint(one.endpoint) is None:
            raise NotFound(what="endpoint", name=one.endpoint)
        add_billing_reference(database(), bought, one.endpoint, one.reference, by=actor())


def _shown(bought: Bought) -> Membership:
    terms = [
        Terms(since=one.since, dues_minor=one.dues_minor, sessions=[_pinned(pin) for pin in one.pinned])
        for one in bought.versions
    ]
    billing = sorted((one.endpoint, one.reference) for one in bought.billing)
    return Membership(
        id=bought.id, member_id=bought.member_id, club_id=bought.club_id, offer_id=bought.offer_id,
        offer=bought.offer.name, payment_term_id=bought.payment_term_id, payment_term=bought.term.name,
        currency=bought.currency, terms=terms, recorded_at=bought.recorded_at,
        billing_references=[BillingReference(endpoint=endpoint, reference=text) for endpoint, text in billing],
    )  # fmt: skip


def _pinned(pin: PinnedTerms) -> Pinned:
    return Pinned(item_id=pin.item_id, item=pin.item.name, quantity=pin.quantity, days_to_expire=pin.days_to_expire)
