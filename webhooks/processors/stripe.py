"""Stripe: how its events come. What they mean is in `stripe_meaning`.

Credits on `invoice.paid`, keyed by the invoice. Before API version 2025-03-31 ("Basil") an invoice names its payment
intent and charge; from then on `invoice_payment.paid` links them. Refunds and disputes name only a charge and a payment
intent, and may arrive before the link: it is kept and joined whenever it comes.

A bank debit that fails after it had succeeded (an ACH return) comes as a dispute.

The API lists events for 30 days, rendered in the account's version of the API, which need not be the webhook
endpoint's: two versions of one event are compared by their meaning.

A thin event ("v1.invoice.paid", an event of API v2) names an object of API v1, and nothing of what is in it. It is
fetched as it is now, and read as if the event of API v1 had brought it. Its `context` is what `account` is there.

Sources: docs.stripe.com/api (events, events/list, events/types, v2/core/events), docs.stripe.com/webhooks,
docs.stripe.com/webhooks/versioning, docs.stripe.com/event-destinations (thin events),
docs.stripe.com/changelog/endive/2026-09-30/thin-events-for-api-v1-resources-generally-available.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any

from models.payments.facts import Fact, Paid
from webhooks import signatures
from webhooks.processors import strict, stripe_codes
from webhooks.processors.base import Object, Trial
from webhooks.processors.claiming import Checkout, CodeField
from webhooks.processors.events import Delivery, Ignored, ParsedEvent, Unavailable, Unusable
from webhooks.processors.stripe_meaning import THIN, THIN_EVENT, Meaning
from webhooks.signatures import Headers, Verdict

MOST_TYPES = 20
"""That the API's list takes."""
_PLACE = re.compile("/v1/[a-z_]+(?:/[a-z_]+)?/([A-Za-z0-9_]+)", re.ASCII)
"""The place of an object in API v1, with its id."""


class Stripe(Meaning):
    """Stripe, or one connected account of it."""

    mode_field = ("livemode", True, False)

    dedupe = "the event's id (evt_...)"
    version_field = "api_version"
    varies = "pending_webhooks"
    answer_within_s = 20
    options = frozenset({"api", "success_url"})
    trial = Trial(lambda: f"whsec_{token_urlsafe(24)}", "sk_test_1")
    code_field = CodeField(
        "metadata of the subscription: subscription_data[metadata] of a Checkout session, or the metadata of a sale",
        "subscription_data[metadata][membership_code]={code}",
        "client_reference_id={code}&prefilled_email={email}",
    )
    makes_checkout = True
    checkout_options = frozenset({"success_url"})
    library = "stripe"
    api_key = "a secret or restricted key that may read events and what they are about"
    fetches = True
    horizon = timedelta(days=30)

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: docs.stripe.com/webhooks, "Verify webhook signatures manually"."""
        return signatures.stripe(body, headers, self.endpoint.keys, now)

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """As Stripe's own library does."""
        return Delivery(body, signatures.sign_stripe(body, self.endpoint.keys[0], timestamp))

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery; a thin one, where its object has a meaning."""
        event = self.event(body)
        bare = event.type.removeprefix(THIN)
        return [event._replace(thin=bare != event.type and (bare in self.meanings or self.is_unknown(bare)))]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """Two versions of one event, rendered by different API versions, have to agree in their meaning."""
        if super().same_content(first, second):
            return True
        one, other = self.event(first), self.event(second)
        if one.api_version == other.api_version or (one.event_id, one.type) != (other.event_id, other.type):
            return False
        try:
            facts, others = self._facts(one.type, first), self._facts(one.type, second)
        except Unusable:
            return False
        # A link that only one version has comes in an event of its own, too.
        return bool(facts) == bool(others) and (facts <= others or others <= facts)

    def _facts(self, type: str, body: bytes) -> set[Fact]:
        try:
            facts = self.interpret(type, body)
        except Ignored:
            return set()
        # Versions differ in what they call the price of a line.
        return {replace(fact, lines=()) if isinstance(fact, Paid) else fact for fact in facts}

    def check(self, event: Object) -> None:
        """An endpoint without an account takes no connected account's events."""
        super().check(event)
        name = "context" if event.get("object") == THIN_EVENT else "account"
        self.check_account(name, strict.optional_name(event, name))

    def fetch(self, type: str, body: bytes) -> bytes:
        """The object that a thin event names, as it is now."""
        event = strict.loads(body)
        self.check(event)
        related = strict.mapping(event, "related_object")
        asked, place = strict.name(related, "id"), related.get("url")
        named = _PLACE.fullmatch(place) if isinstance(place, str) else None
        if named is None or named[1] != asked:
            raise Unusable("its related_object stands nowhere in Stripe's API v1")
        with self._asking() as ask:
            answer = str(ask(named[0]).body).encode()
        from webhooks.processors import http

        http.check_same(asked, http.read(answer, "Stripe's API").get("id"), "Stripe's API")
        return answer

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """The events of the types that matter, of each twenty types the newest first, as the API has them.

        Page by page, as they are asked for. Stripe's library tries twice more after a time-out or a server error.
        """
        account = self.endpoint.account
        created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
        types = list(self.meanings)
        with self._asking() as ask:
            for first in range(0, len(types), MOST_TYPES):
                wanted = {"created": created, "types": types[first : first + MOST_TYPES], "limit": 100}
                while True:
                    page = ask("/v1/events", **wanted).data
                    events = _events(page)
                    for event in events:
                        # Connect's webhooks name the account; the list for that account does not.
                        named = event if account is None or event.get("account") else {**event, "account": account}
                        yield self.event(json.dumps(named).encode())
                    if not page.get("has_more") or not events:
                        break
                    wanted["starting_after"] = events[-1]["id"]

    def make_checkout(self, wanted: Checkout) -> str:
        """A Checkout session: of a subscription, or of a sale for what is paid once. It can be paid for a day."""
        success_url = self.endpoint.options.get("success_url")
        if success_url is None:
            raise Unavailable(f"{self.endpoint.name} has no success_url in SPP_ENDPOINTS: where the member goes then")
        params = stripe_codes.checkout(wanted, self.digits, success_url)
        with self._asking(tries=1) as ask:
            url = ask("/v1/checkout/sessions", "post", **params).data.get("url")
        if not isinstance(url, str) or not url.startswith("https://"):
            raise Unavailable("Stripe's API answers with no address of the session")
        return url

    @contextmanager
    def _asking(self, tries: int = 3) -> Iterator[Callable[..., Any]]:
        """A function that asks the API for a place with some parameters, and gives the library's answer.

        Raises Unavailable; LookupError for what the API does not have.
        """
        key = self._key_of_this_mode()
        import stripe

        from webhooks.processors.http import TIMEOUT_S

        api = self.api_address
        with closing(stripe.RequestsClient(timeout=TIMEOUT_S)) as http:
            client = stripe.StripeClient(
                key,
                stripe_account=self.endpoint.account,
                base_addresses={"api": api} if api else {},
                max_network_retries=tries - 1,
                http_client=http,
            )

            def ask(place: str, method: str = "get", **wanted: Any) -> Any:
                try:
                    return client.raw_request(method, place, **wanted)
                except (stripe.AuthenticationError, stripe.PermissionError) as error:
                    raise self.key_refused("Stripe", error.http_status) from None
                except stripe.InvalidRequestError as error:
                    raise LookupError(f"Stripe has no answer to {method.upper()} {place}: {str(error)[:200]}") from None
                except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError, ValueError) as error:
                    what = f"{type(error).__name__}, status {getattr(error, 'http_status', None)}"
                    raise Unavailable(f"Stripe's API does not answer as it should ({what})") from None

            yield ask

    def _key_of_this_mode(self) -> str:
        (key,), mode = self.api_credentials(), self.endpoint.mode
        if ("_test_" if mode == "live" else "_live_") in key:
            raise Unavailable(f"{self.api_key_at} is not a {mode}-mode key, but the endpoint is {mode}")
        return key


def _events(page: Any) -> list[Object]:
    events = page.get("data") if isinstance(page, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, dict) and event.get("id") for event in events):
        raise Unavailable("Stripe's API answers something else than a list of events")
    return events
