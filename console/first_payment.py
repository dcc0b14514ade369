"""Sign-up that needs no typing: how a first payment is made to carry the code of its membership.

Pages, API and command line show the same: for each endpoint the field and its value, and the gym's own payment link
with the code in it. Where an endpoint's API key allows it, a page for the payment is made at the processor.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from sqlalchemy.orm import Session

from models.errors import CheckoutNotMade, NotFound
from models.members.memberships import Membership
from models.staff import actions
from models.staff.actions import Actor
from runtime.language import noted, say
from runtime.settings import Endpoint, Settings, SettingsError
from webhooks.processors import Unavailable, adapter, processor_class
from webhooks.processors.claiming import Checkout


class Way(NamedTuple):
    """One way of making a first payment carry the code."""

    endpoint: str
    processor: str
    where: str
    """The processor's field, in words."""
    snippet: str
    """The field with the code in it, ready to copy."""
    link: str | None
    """The payment term's own payment link, with the code."""
    can_make: bool
    """Whether a page can be made at the processor."""


class Wanted(NamedTuple):
    """What has to be known of a membership, read before any network call."""

    membership_id: int
    member_id: int
    checkout: Checkout
    payment_link: str | None


def wanted(membership: Membership, now: datetime) -> Wanted:
    """The membership's code, dues and payment link as they are now."""
    terms = membership.terms_at(now)
    term = terms.term
    checkout = Checkout(
        membership.code, membership.member.email, f"{term.offer.name}, {term.name}", terms.dues_minor,
        membership.currency, terms.interval, terms.interval_count,
    )  # fmt: skip
    return Wanted(membership.id, membership.member_id, checkout, term.payment_link)


def ways(settings: Settings, of: Wanted) -> Sequence[Way]:
    """One for each endpoint; none for an endpoint whose processor has no adapter."""
    return [way for endpoint in settings.endpoints if (way := _way(endpoint, of))]


def _way(endpoint: Endpoint, of: Wanted) -> Way | None:
    try:
        kind = processor_class(endpoint)
    except SettingsError:
        return None
    field, code = kind.code_field, of.checkout.code
    link = _with_query(of.payment_link, field.link.format(code=code, email=quote(of.checkout.email, safe="")))
    snippet = field.snippet.format(code=code)
    can_make = kind.makes_checkout and bool(endpoint.api_key) and kind.checkout_options <= endpoint.options.keys()
    return Way(endpoint.name, endpoint.processor, say(field.where), snippet, link, can_make)


def make_checkout(settings: Settings, of: Wanted, name: str, *, by: Actor, log: Callable[[], Session]) -> str:
    """Make a page for the first payment at that endpoint's processor; its address.

    No transaction may be open: `log` gives the session for the action log when the processor has answered. Raises
    NotFound, or CheckoutNotMade with the reason.
    """
    endpoint = settings.endpoint(name)
    if endpoint is None:
        raise NotFound(field="endpoint", what="endpoint", name=name)
    try:
        kind = processor_class(endpoint)
        if not kind.makes_checkout:
            text = noted("{processor} is not asked for pages; put the code into the field that is shown")
            raise Unavailable(say(text, processor=endpoint.processor))
        made = adapter(endpoint).make_checkout(of.checkout)
    except (Unavailable, LookupError, SettingsError) as why:
        raise CheckoutNotMade(endpoint=name, why=str(why).rstrip(".")) from None
    actions.log(log(), by, "make sign-up link", f"membership {of.membership_id} on {name}", member_id=of.member_id)
    return made


def _with_query(link: str | None, query: str) -> str | None:
    if not link or not query:
        return None
    parts = urlsplit(link)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, query)))))
