"""PayPal: dues are the sales of its subscriptions, or captures with a custom id.

A signature covers only the CRC32 of the body, for which anyone can make another body.
It authenticates the envelope; so the body is believed no more than where its resource
stands. That is fetched again from PayPal's API, and all meaning is what was fetched:

| fetched | meaning |
|---|---|
| a sale or capture that was completed | credits, by its id, if it names a subscription or a custom id |
| the same, now refunded or reversed | also takes all of it back, as a running total beside the single refunds |
| the same, partly refunded, as a ...REFUNDED or ...REVERSED event says | takes back what its order lists, likewise |
| a refund, completed | takes its amount back, by the refund's own id; failed or cancelled undoes that |
| a dispute that took money | takes back, as a total of its own; what was credited undoes that, and reversals |

One loss is told as a refund or a reversal, and as a dispute, and neither names the
other. So all are one family, in which the totals of disputes are never added to what single
refunds took. A hold moves no money: a dispute counts from its first debit, or where it
tells of none, when it is resolved.

A webhook can overtake the API: what the API still calls pending, or completed after an event
that says that money went back, is fetched again until it is final. Only an event that itself says
pending is not waited for, because another event tells what comes of it.

Sources: developer.paypal.com, "Integrate webhooks" and "Notification messages" (signed
text, the certificate's place, 25 tries in three days, no bound on the time) and the
references of Payments v1 and v2 (sale, capture, refund and their states), Disputes v1
(money_movements, fund_movements, outcomes), Orders v2 (payments.refunds), and Webhooks Management v1 (list of
events; the last 30 days as the Events dashboard has it); PayPal's OpenAPI descriptions (paypal/
paypal-rest-api-specifications: states of sales, captures and refunds); PayPal's Python and Java libraries
(crc32 as decimal, the certificate's name and chain).
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from models.payments.facts import Fact
from runtime.settings import Endpoint, SettingsError, api_key_variable, secret_variable
from webhooks.processors import (
    Delivery,
    Ignored,
    Kept,
    ParsedEvent,
    Processor,
    Unavailable,
    Unusable,
    paypal_meaning,
    strict,
)
from webhooks.processors.paypal_certificates import certificates
from webhooks.processors.paypal_meaning import DOMAINS, FETCHED, links_of, place_of, state_of
from webhooks.processors.paypal_signatures import Transmission, signed_headers, transmission
from webhooks.signatures import Headers, Invalid, Verdict

Object = dict[str, Any]

LOCAL = "CERT-LOCAL"
"""The certificate that `sign` signs with, beside its key in the folder of the option `certs`."""

HORIZON = timedelta(days=30)
PAGE_SIZE = 100
WAITS_S = (1.0, 10.0, 30.0)
"""Before the API is asked again for a page that it would not give."""


class PayPal(Processor):
    """PayPal, or its sandbox."""

    dedupe = "the event's id (WH-...)"
    answer_within_s = 10
    options = frozenset({"api", "certs"})
    library = "cryptography"
    api_key = "the app's client id, then its secret"
    fetches = True
    horizon = HORIZON

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises SettingsError for a secret that is no webhook id, and for `certs` that cannot be used."""
        super().__init__(endpoint)
        domain = DOMAINS[endpoint.mode]
        self._api = endpoint.options.get("api", f"https://api-m.{domain}").rstrip("/")
        self._api_key_at = api_key_variable(endpoint.name)
        self._token = ("", 0.0)
        self._certificate_url = re.compile(
            rf"https://api(?:-m)?\.{re.escape(domain)}/v1/notifications/certs/(CERT-[A-Za-z0-9-]{{1,64}})", re.ASCII
        )
        # WEBHOOK_ID is none: for that name PayPal's simulator signs whatever anybody wants.
        if not all(re.fullmatch(rb"[A-Za-z0-9-]{1,50}", key) for key in endpoint.keys):
            raise SettingsError(
                f"Endpoint {endpoint.name!r}: a webhook id is letters and digits. Copy it from the app's webhook in "
                f"PayPal's developer dashboard into {secret_variable(endpoint.name)}."
            )
        self._folder = Path(endpoint.options["certs"]) if "certs" in endpoint.options else None
        if self._folder and not self._folder.is_dir():
            raise SettingsError(f"Endpoint {endpoint.name!r}: certs={self._folder} is no folder.")
        if self._folder and endpoint.mode == "live" and (self._folder / "ca.pem").exists():
            raise SettingsError(
                f"Endpoint {endpoint.name!r} is live, so it trusts nobody else: take ca.pem out of {self._folder}."
            )
        self._certificates = certificates(
            f"messageverificationcerts.{domain}", self._folder, trusts_folder=endpoint.mode == "test"
        )

    def verify(self, body: bytes, headers: Headers, now: float) -> Verdict:
        """Source: developer.paypal.com, "Integrate webhooks", verification by oneself.

        Undecided for a certificate that was never seen here, which `learn` gets; reads one from the option `certs`.
        """
        found = self._named(headers, now)
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
        """Gets the certificate that the delivery names: one that is kept, or PayPal's own host's."""
        found = self._named(headers, now)
        return (
            found
            if isinstance(found, Invalid)
            else self._certificates.learn(found[0].certificate_url, now, source, kept)
        )

    def _named(self, headers: Headers, now: float) -> tuple[Transmission, str] | Invalid:
        """The transmission, and the name of the certificate that it is signed with."""
        sent = transmission(headers, now)
        if isinstance(sent, Invalid):
            return sent
        place = self._certificate_url.fullmatch(sent.certificate_url)
        if place is None:
            return Invalid(f"PAYPAL-CERT-URL is not where PayPal keeps its certificates for {self.endpoint.mode} mode")
        return sent, place[1]

    def parse(self, body: bytes, headers: Headers) -> list[ParsedEvent]:
        """One event per delivery; what can be about money is thin, whatever else its type says."""
        part = strict.event(body, type="event_type", version="resource_version")
        return [part._replace(thin=part.type.startswith(FETCHED))]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """All must be equal but the event's own links, which name the host that tells it."""
        return strict.same(first, second, without="links")

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """What the fetched resource tells. Raises Ignored, NotYet or Unusable."""
        strict.loads(body)
        if not type.startswith(FETCHED):
            raise Ignored(paypal_meaning.WHY_IGNORED.get(type, f"{type[:100]} says nothing about dues"))
        if resource is None:
            raise Unusable("what it is about was not fetched")
        found = strict.loads(resource)
        place = place_of(found, "self", self.endpoint.mode)
        if place is None:
            raise Unusable(f"what PayPal answers does not say that it is of {self.endpoint.mode} mode")
        return paypal_meaning.READINGS[place.rpartition("/")[0]](found, type, self.endpoint)

    def fetch(self, type: str, body: bytes) -> bytes:
        """The sale, capture, refund or dispute that the event's resource says to be, as the API has it now.

        For a refund that is not found, the payment it is of, once that says that its money is gone. With a payment of
        which a part went back its refunds, as `refunds`.
        """
        resource = strict.mapping(strict.loads(body), "resource")
        rels = ("self", "sale", "capture", "up")
        places = [place for rel in rels if (place := place_of(resource, rel, self.endpoint.mode))]
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
        if type.endswith(paypal_meaning.WENT_BACK) and state_of(found) == paypal_meaning.PARTLY:
            found = found | {"refunds": self._refunds_of(found)}
        return json.dumps(found, default=float).encode()

    def _refunds_of(self, payment: Object) -> list[Object]:
        """The payment's refunds, by its order or parent payment; none where it has neither."""
        parents = (
            place_of(payment, rel, self.endpoint.mode, paypal_meaning.PARENTS) for rel in ("up", "parent_payment")
        )
        place = next(filter(None, parents), None)
        with suppress(LookupError):
            return paypal_meaning.listed_refunds(self._get(place), strict.name(payment, "id")) if place else []
        return []

    def _get(self, place: str) -> Object:
        found = self._ask("GET", place)
        _, _, named = place.rpartition("/")
        from webhooks.processors import http

        http.check_same(named, found.get("dispute_id" if "/disputes/" in place else "id"), "PayPal's API")
        if own := place_of(found, "self", self.endpoint.mode):
            http.check_same(named, own.rpartition("/")[2], "PayPal's API")
        return found

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """All events of the app, day by day, the oldest first."""
        start = since
        while start < until:
            end = min(start + timedelta(days=1), until)
            events = sorted(self._events(start, end), key=lambda event: str(event.get("create_time")))
            for event in events:
                event.pop("transmissions", None)  # what we answered, which no delivery tells
                yield self.parse(json.dumps(event, default=float).encode(), {})[0]
            start = end

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed for the first webhook id with the key in the folder `certs`. Raises SettingsError without one."""
        file = self._folder / f"{LOCAL}.key" if self._folder else None
        if file is None or not file.is_file():
            raise SettingsError(
                f"Endpoint {self.endpoint.name!r}: only PayPal can sign for it. To try it out, set certs=FOLDER to a "
                f"folder with ca.pem, {LOCAL}.pem and {LOCAL}.key."
            )
        url = f"https://api.{DOMAINS[self.endpoint.mode]}/v1/notifications/certs/{LOCAL}"
        return Delivery(body, signed_headers(body, timestamp, self.endpoint.keys[0], file, url))

    def _events(self, start: datetime, end: datetime) -> Iterator[Object]:
        moments = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (start, end))
        query, asked = "page_size={}&start_time={}&end_time={}".format(PAGE_SIZE, *moments), set[str]()
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
                return self._ask("GET", path)
            sleep(wait_s)
        return self._ask("GET", path)

    def _ask(self, method: str, path: str) -> Object:
        from webhooks.processors import http

        if len(self.endpoint.api_key) != 2:
            raise Unavailable(f"it needs {self.api_key} in {self._api_key_at}")
        token, until = self._token
        if monotonic() >= until:
            self._token = token, _ = self._new_token()
        try:
            headers = {"Authorization": f"Bearer {token}"}
            return http.ask(method, self._api + path, api_key_at=self._api_key_at, headers=headers)
        except Unavailable:
            self._token = ("", 0.0)  # it may have been withdrawn
            raise

    def _new_token(self) -> tuple[str, float]:
        from webhooks.processors import http

        client = tuple(word.get_secret_value() for word in self.endpoint.api_key)
        url, grant = f"{self._api}/v1/oauth2/token", {"grant_type": "client_credentials"}
        answer = http.ask("POST", url, api_key_at=self._api_key_at, auth=client, data=grant)
        token, lasts_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or type(lasts_s) is not int:
            raise Unavailable("its API gives no access token")
        return token, monotonic() + lasts_s - 60
