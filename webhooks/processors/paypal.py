"""PayPal: dues are the sales of its subscriptions, or captures with a custom id.

A payment names its subscription, then the custom id that it, its subscription or its order has; without one, whoever
paid is its payer (PayPal's payer id), which its subscription or order says.

A signature covers only the CRC32 of the body, for which anyone can make another body.
It authenticates the envelope only; so nothing of the body is believed but the place of its
resource. The resource is fetched again from PayPal's API, and has all the meaning:

| fetched | meaning |
|---|---|
| a sale or capture that was completed | credits, by its id |
| the same, now refunded or reversed | also takes all of it back, as a running total beside the single refunds |
| the same, partly refunded, as a ...REFUNDED or ...REVERSED says | takes back what its order lists, or tells staff |
| a refund, completed | takes its amount back, by the refund's own id; failed or cancelled undoes that |
| a subscription, of which a payment failed | its dues are owed, until it is paid; so does a sale that was denied |
| a subscription that ended, was suspended or is active again | is announced, and credits nothing |
| a dispute that took money | takes back, as a total of its own; what was credited undoes that, and reversals |

A set-up fee is a sale of its subscription like any other, before the first cycle's or with it. Only the subscription's
plan tells it apart, so the subscription is fetched with each of its sales (paypal_orders.py).

One loss comes as a refund or a reversal, and as a dispute, and neither names the
other. So all are one family, in which the totals of disputes are never added to what single
refunds took. A hold moves no money: a dispute counts from its first debit, or without any,
when it is resolved.

A webhook can overtake the API: a resource that the API still calls pending, or completed after an event
that says that money went back, is fetched again until it is final. Only an event that itself says
pending is not waited for, because another event follows.

Sources: developer.paypal.com, "Integrate webhooks" and "Notification messages" (signed
text, the certificate's place, 25 tries in three days, no bound on the time) and the
references of Payments v1 and v2 (sale, capture, refund and their states), Disputes v1
(money_movements, fund_movements, outcomes), Orders v2 (payments.refunds), and Webhooks Management v1 (list of
events; the last 30 days as the Events dashboard has it), Subscriptions v1 (subscriber, plan, set-up fee);
PayPal's OpenAPI descriptions (paypal/paypal-rest-api-specifications: states of sales, captures and refunds);
PayPal's Python and Java libraries (crc32 as decimal, the certificate's name and chain).
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep
from typing import ClassVar
from urllib.parse import urlsplit

from runtime.settings import Endpoint
from webhooks.processors import paypal_meaning, paypal_orders, strict
from webhooks.processors.base import Kept, Object, Trial
from webhooks.processors.claiming import CodeField
from webhooks.processors.events import Delivery, ParsedEvent, Unavailable, Unusable
from webhooks.processors.paypal_certificates import certificates
from webhooks.processors.paypal_meaning import DOMAINS, FETCHED
from webhooks.processors.paypal_orders import links_of, state_of
from webhooks.processors.paypal_signatures import Transmission, signed_headers, transmission
from webhooks.signatures import Headers, Invalid, Verdict

LOCAL = "CERT-LOCAL"
"""The certificate that `sign` signs with, beside its key in the folder of the option `certs`."""

PAGE_SIZE = 100
_ID = re.compile("[A-Za-z0-9-]{1,64}", re.ASCII)
WAITS_S = (1.0, 10.0, 30.0)
"""Pauses before the API is asked again for a page that it did not give."""


class PayPal(paypal_meaning.Meaning):
    """PayPal, or its sandbox."""

    dedupe = "the event's id (WH-...)"
    type_field, version_field = "event_type", "resource_version"
    varies = "links"
    answer_within_s = 10
    kept_headers = ("Correlation-Id", "Paypal-Transmission-Id", "Paypal-Transmission-Time")
    options = frozenset({"api", "certs"})
    # Not WEBHOOK_ID, with its underscore: PayPal's simulator signs anybody's message for that id.
    secret_form = (
        "[A-Za-z0-9-]{1,50}",
        "a webhook id of letters and digits. Copy it from the app's webhook in PayPal's developer dashboard",
    )
    code_field = CodeField("custom_id of the subscription, or of an order's purchase unit", '"custom_id": "{code}"')
    trial = Trial(
        lambda: f"WH-{token_hex(8).upper()}", "client_1 secret_1", folders={"certs": "local.paypal_certificates:make"}
    )
    library = "cryptography"
    api: ClassVar = {mode: f"https://api-m.{domain}" for mode, domain in DOMAINS.items()}
    api_key = "the app's client id, then its secret"
    api_key_words = 2
    fetches = needs_api = True
    horizon = timedelta(days=30)

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for a secret that is no webhook id, and for `certs` that cannot be used."""
        super().__init__(endpoint)
        domain = DOMAINS[endpoint.mode]
        self._token = ("", 0.0)
        self._certificate_url = re.compile(
            rf"https://api(?:-m)?\.{re.escape(domain)}/v1/notifications/certs/(CERT-[A-Za-z0-9-]{{1,64}})", re.ASCII
        )
        self._folder = Path(endpoint.options["certs"]) if "certs" in endpoint.options else None
        if self._folder and not self._folder.is_dir():
            raise self.wrong(f"certs={self._folder} is no folder.")
        if self._folder and endpoint.mode == "live" and (self._folder / "ca.pem").exists():
            raise self.wrong(f"a live endpoint trusts no authority of your own: take ca.pem out of {self._folder}.")
        self._certificates = certificates(
            f"messageverificationcerts.{domain}", self._folder, trusts_folder=endpoint.mode == "test"
        )

    # Receiving

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: developer.paypal.com, "Integrate webhooks", verification by oneself.

        Undecided for a certificate that is new here, which `learn` gets. Reads one from the option `certs`.
        """
        found = self._transmission(headers, now)
        if isinstance(found, Invalid):
            return found
        sent, name = found
        key = self._certificates.key(sent.certificate_url, name, now)
        if isinstance(key, Invalid):
            return key
        if any(sent.is_signed(key, own, body) for own in self.endpoint.keys):
            return None
        return Invalid("the signature is for none of the endpoint's webhook ids")

    def learn(self, headers: Headers, now: float, source: str, kept: Kept) -> Verdict:
        """Get the certificate that the delivery names: one that is kept, or one from PayPal's own host."""
        found = self._transmission(headers, now)
        if isinstance(found, Invalid):
            return found
        return self._certificates.learn(found[0].certificate_url, now, source, kept)

    def _transmission(self, headers: Headers, now: float) -> tuple[Transmission, str] | Invalid:
        """The transmission, and the name of the certificate that it is signed with."""
        sent = transmission(headers, now)
        if isinstance(sent, Invalid):
            return sent
        place = self._certificate_url.fullmatch(sent.certificate_url)
        if place is None:
            return Invalid(f"PAYPAL-CERT-URL is not where PayPal keeps its certificates for {self.endpoint.mode} mode")
        return sent, place[1]

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed for the first webhook id with the key in the folder `certs`. Raises SettingsError without one."""
        file = self._folder / f"{LOCAL}.key" if self._folder else None
        if file is None or not file.is_file():
            raise self.wrong(
                f"only PayPal can sign for it. To try it out, set certs=FOLDER to a folder with ca.pem, {LOCAL}.pem "
                f"and {LOCAL}.key."
            )
        url = f"https://api.{DOMAINS[self.endpoint.mode]}/v1/notifications/certs/{LOCAL}"
        return Delivery(body, signed_headers(body, timestamp, self.endpoint.keys[0], file, url))

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery; every event that can be about money is thin, whatever else its type says."""
        event = self.event(body)
        return [event._replace(thin=event.type.startswith(FETCHED))]

    # The API

    def fetch(self, type: str, body: bytes) -> bytes:
        """The event's sale, capture, refund, dispute or subscription, as the API has it now.

        For a refund that is not found, its payment, where that says that its money is gone. With a payment comes
        its `subscription`, or else its `order`, as far as the API has them and lets the app see them; with one of
        which a part went back its `refunds` by its order.
        """
        resource = strict.mapping(strict.loads(body), "resource")
        places = [place for rel in ("self", "sale", "capture", "up") if (place := self.place_of(resource, rel))]
        if not places:
            raise Unusable(f"its resource stands nowhere in PayPal's API for {self.endpoint.mode} mode")
        own, *payments = places
        try:
            found = self._get(own)
        except LookupError:
            for place in payments:
                found = self._get(place)
                if state_of(found) in paypal_meaning.GONE:
                    break
            else:
                raise
        if type.startswith(paypal_meaning.ANNOUNCING):
            found = {key: found[key] for key in paypal_meaning.KEPT_OF_SUBSCRIPTIONS if key in found}
        elif own.startswith(paypal_meaning.SUBSCRIPTIONS):
            found = {key: paypal_orders.without_addresses(value) for key, value in found.items()}
        if self._is_paid(found):
            asks_refunds = type.endswith(paypal_meaning.WENT_BACK) and state_of(found) == paypal_meaning.PARTLY
            found = found | self._beside(found, asks_refunds=asks_refunds)
        return json.dumps(found, default=float).encode()

    def _is_paid(self, found: Object) -> bool:
        place, _, _ = (self.place_of(found, "self") or "").rpartition("/")
        return self.meanings.get(place) == "payment" and state_of(found) not in {"pending", *paypal_meaning.NEVER}

    def _beside(self, payment: Object, *, asks_refunds: bool) -> Object:
        """What is fetched with a payment, by the keys under which it is kept."""
        more: Object = {}
        agreement = payment.get("billing_agreement_id")
        if isinstance(agreement, str) and _ID.fullmatch(agreement):
            more["subscription"] = self._if_it_may(f"{paypal_meaning.SUBSCRIPTIONS}/{agreement}", "?fields=plan")
        if asks_refunds or not more.get("subscription"):
            parents = (self.place_of(payment, rel, paypal_meaning.PARENTS) for rel in ("up", "parent_payment"))
            place = next(filter(None, parents), None)
            more["order"] = self._if_it_may(place) if place else {}
        if asks_refunds:
            more["refunds"] = paypal_orders.refunds_in(more["order"], strict.name(payment, "id"))
        return {key: paypal_orders.without_addresses(value) for key, value in more.items() if value}

    def _if_it_may(self, place: str, query: str = "") -> Object:
        """What stands there; empty where there is nothing, or nothing that the app may see."""
        with suppress(LookupError, _Forbidden):
            return self._get(place, query)
        return {}

    def _get(self, place: str, query: str = "") -> Object:
        from webhooks.processors import http

        found = self._ask(place + query)
        _, _, asked = place.rpartition("/")
        http.check_same(asked, found.get("dispute_id" if "/disputes/" in place else "id"), "PayPal's API")
        if own := self.place_of(found, "self"):
            http.check_same(asked, own.rpartition("/")[2], "PayPal's API")
        return found

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """All events of the app, day by day, the oldest first."""
        start = since
        while start < until:
            end = min(start + timedelta(days=1), until)
            events = sorted(self._events(start, end), key=lambda event: str(event.get("create_time")))
            for event in events:
                event.pop("transmissions", None)  # our answers, which no delivery has
                yield self.parse(json.dumps(event, default=float).encode(), {})[0]
            start = end

    def _events(self, start: datetime, end: datetime) -> Iterator[Object]:
        query = f"page_size={PAGE_SIZE}&start_time={strict.rfc3339(start)}&end_time={strict.rfc3339(end)}"
        asked = set[str]()
        while query and query not in asked:
            asked.add(query)
            page = self._patiently(f"/v1/notifications/webhooks-events?{query}")
            events = page.get("events", [])
            if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
                raise Unavailable("its API lists events in a way that we do not know")
            yield from events
            query = urlsplit(next(links_of(page, "next"), "")).query if events else ""

    def _patiently(self, path: str) -> Object:
        for wait_s in WAITS_S:
            with suppress(Unavailable):
                return self._ask(path)
            sleep(wait_s)
        return self._ask(path)

    def _ask(self, path: str) -> Object:
        from webhooks.processors import http

        client = tuple(self.api_credentials())
        token, until = self._token
        if monotonic() >= until:
            grant = {"grant_type": "client_credentials"}
            answer = http.ask(self, "POST", "/v1/oauth2/token", auth=client, data=grant)
            new, lasts_s = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(new, str) or type(lasts_s) is not int:
                raise Unavailable("its API gives no access token")
            self._token = token, _ = new, monotonic() + lasts_s - 60
        try:
            return http.ask(self, "GET", path, headers={"Authorization": f"Bearer {token}"})
        except _Forbidden:
            raise
        except Unavailable:
            self._token = ("", 0.0)  # it may have been withdrawn
            raise

    def key_refused(self, host: str, status: int | None) -> Unavailable:
        """The error for an API that refuses the key, or what the app may not see."""
        refused = super().key_refused(host, status)
        return _Forbidden(str(refused)) if status == 403 else refused


class _Forbidden(Unavailable):
    """The app may not see what it asked for."""
