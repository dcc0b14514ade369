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

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID
from zlib import crc32

from models.facts import Fact, Paid, Restored, Reversed
from settings import Endpoint, SettingsError, api_key_variable, secret_variable
from webhooks.processors import Delivery, Ignored, NotYet, Processor, Split, Unavailable, Unusable, strict
from webhooks.processors.paypal_certificates import certificates
from webhooks.signatures import TOLERANCE_S, Headers, Invalid, Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Object = dict[str, Any]

ALGORITHM = "SHA256withRSA"
DOMAINS = {"live": "paypal.com", "test": "sandbox.paypal.com"}
LOCAL = "CERT-LOCAL"
"""The certificate that `sign` signs with, beside its key in the folder of the option `certs`."""

MAX_AGE = timedelta(days=31)
"""How old a transmission may be: PayPal tries for 3 days, and what is 30 days old can be sent again by hand."""

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

        Fetches a certificate that it sees for the first time, within seconds.
        """
        names = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
        transmission_id, time, text, url, algorithm = (headers.get(f"paypal-{name}") or "" for name in names)
        if not (transmission_id and time and text and url):
            return Invalid("a PAYPAL- header is missing")
        if algorithm != ALGORITHM:
            return Invalid(f"PAYPAL-AUTH-ALGO is not {ALGORITHM}")
        if stale := _stale(time, now):
            return stale
        signature = _decoded(text)
        if not signature:
            return Invalid("PAYPAL-TRANSMISSION-SIG is not base64")
        place = self._certificate_url.fullmatch(url)
        if place is None:
            return Invalid(f"PAYPAL-CERT-URL is not where PayPal keeps its certificates for {self.endpoint.mode} mode")
        key = self._certificates.key(url, place[1], now)
        if isinstance(key, Invalid):
            return key
        if any(_signed(key, signature, transmission_id, time, own, body) for own in self.endpoint.keys):
            return None
        return Invalid("the signature is for none of the endpoint's webhook ids")

    def split(self, body: bytes, headers: Headers) -> list[Split]:
        """One event per delivery; what can be about money is thin, whatever else its type says."""
        part = strict.event(body, type="event_type", version="resource_version")
        return [part._replace(thin=part.type.startswith(_FETCHED))]

    def same_content(self, first: bytes, second: bytes) -> bool:
        """All must be equal but the event's own links, which name the host that tells it."""
        return strict.same(first, second, without="links")

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """What the fetched resource tells. Raises Ignored or Unusable."""
        strict.loads(body)
        if not type.startswith(_FETCHED):
            raise Ignored(_WHY_IGNORED.get(type, f"{type[:100]} says nothing about dues"))
        if resource is None:
            raise Unusable("what it is about was not fetched")
        found = strict.loads(resource)
        place = _place(found, "self", self.endpoint.mode)
        if place is None:
            raise Unusable(f"what PayPal answers does not say that it is of {self.endpoint.mode} mode")
        return _READINGS[place.rpartition("/")[0]](found, type, self.endpoint)

    def fetch(self, type: str, body: bytes) -> bytes:
        """The sale, capture, refund or dispute that the event's resource says to be, as the API has it now.

        For a refund that is not found, the payment it is of, once that says that its money is gone. With a payment of
        which a part went back its refunds, as `refunds`.
        """
        resource = strict.mapping(strict.loads(body), "resource")
        rels = ("self", "sale", "capture", "up")
        places = [place for rel in rels if (place := _place(resource, rel, self.endpoint.mode))]
        if not places:
            raise Unusable(f"its resource stands nowhere in PayPal's API for {self.endpoint.mode} mode")
        own, *payments = places
        try:
            found = self._get(own)
        except LookupError:
            for place in payments:
                found = self._get(place)
                if _state(found) in _GONE:
                    break
            else:
                raise
        if type.endswith(_WENT_BACK) and _state(found) == _PARTLY:
            found = found | {"refunds": self._refunds_of(found)}
        return json.dumps(found, default=float).encode()

    def _refunds_of(self, payment: Object) -> list[Object]:
        """The payment's refunds, by its order or parent payment; none where it has neither."""
        parents = (_place(payment, rel, self.endpoint.mode, _PARENTS) for rel in ("up", "parent_payment"))
        place = next(filter(None, parents), None)
        with suppress(LookupError):
            return _listed_refunds(self._get(place), strict.name(payment, "id")) if place else []
        return []

    def _get(self, place: str) -> Object:
        found = self._ask("GET", place)
        _, _, named = place.rpartition("/")
        from webhooks.processors import http

        http.check_same(named, found.get("dispute_id" if "/disputes/" in place else "id"), "PayPal's API")
        return found

    def listed(self, since: datetime, until: datetime) -> Iterator[Split]:
        """All events of the app, day by day, the oldest first."""
        start = since
        while start < until:
            end = min(start + timedelta(days=1), until)
            events = sorted(self._events(start, end), key=lambda event: str(event.get("create_time")))
            for event in events:
                event.pop("transmissions", None)  # what we answered, which no delivery tells
                yield self.split(json.dumps(event, default=float).encode(), {})[0]
            start = end

    def sign(self, body: bytes, timestamp: int) -> Delivery:
        """Signed for the first webhook id with the key in the folder `certs`. Raises SettingsError without one."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        file = self._folder / f"{LOCAL}.key" if self._folder else None
        if file is None or not file.is_file():
            raise SettingsError(
                f"Endpoint {self.endpoint.name!r}: only PayPal can sign for it. To try it out, set certs=FOLDER to a "
                f"folder with ca.pem, {LOCAL}.pem and {LOCAL}.key."
            )
        transmission_id = str(UUID(bytes=hashlib.sha256(body).digest()[:16]))
        time = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = _text(transmission_id, time, self.endpoint.keys[0], body)
        headers = {
            "PAYPAL-TRANSMISSION-ID": transmission_id,
            "PAYPAL-TRANSMISSION-TIME": time,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(_private_key(file).sign(text, PKCS1v15(), SHA256())).decode(),
            "PAYPAL-CERT-URL": f"https://api.{DOMAINS[self.endpoint.mode]}/v1/notifications/certs/{LOCAL}",
            "PAYPAL-AUTH-ALGO": ALGORITHM,
        }
        return Delivery(body, headers)

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
            query = urlsplit(next(_links(page, "next"), "")).query if events else ""

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


def _payment(payment: Object, type: str, endpoint: Endpoint) -> list[Fact]:
    _check_account(strict.mapping(payment, "payee"), endpoint)
    reference, state = strict.name(payment, "id"), _state(payment)
    if state in _NEVER:
        raise Ignored(f"the payment is {state}: no money moved")
    if state == "pending" and type.endswith(".PENDING"):
        raise Ignored("the payment is pending: another event tells what comes of it")
    if state == "pending" or (state == "completed" and type.endswith(_WENT_BACK)):
        raise NotYet(f"PayPal says that the payment is {state}, though the event says {type}")
    if state not in {"completed", _PARTLY, *_GONE}:
        raise Unusable(f"the payment is in a state that we do not know: {state[:60]}")
    amount, currency = _money(payment)
    if amount == 0:
        raise Ignored("zero amount: nothing was paid")
    billing = (payment.get("billing_agreement_id"), payment.get("custom_id"), payment.get("custom"))
    references = tuple(dict.fromkeys(str(name) for name in billing if strict.is_name(name)))
    if not references:
        raise Ignored("a single sale: it names no subscription and no custom id")
    facts: list[Fact] = [Paid(reference, strict.iso_time(payment, "create_time"), amount, currency, references)]
    if state == _PARTLY and type.endswith(_WENT_BACK):
        amount = _gone_of(payment, currency)
    elif state not in _GONE:
        return facts
    return [*facts, Reversed(reference, _updated(payment), "refund", amount, currency, running_total=True)]


_NEVER = {"denied", "declined", "failed", "voided", "expired"}
"""States of a payment that never moves money."""
_PARTLY = "partially_refunded"
_GONE = {"refunded", "reversed"}
"""States of a payment of which nothing is left."""
_WENT_BACK = (".REFUNDED", ".REVERSED")


def _gone_of(payment: Object, currency: str) -> int:
    """What of a payment went back, by its refunds."""
    refunds = payment.get("refunds")
    if not isinstance(refunds, list) or not all(isinstance(refund, dict) for refund in refunds):
        refunds = []
    states = [_state(refund) for refund in refunds]
    if "pending" in states:
        raise NotYet("PayPal says that a refund of the payment is pending")
    back = [_money(refund, signed=True) for refund, state in zip(refunds, states, strict=True) if state == "completed"]
    if not back or any(theirs != currency for _, theirs in back):
        raise Unusable(
            "PayPal says that a part of the payment went back, but not how much: look it up there, and take its "
            "sessions back by hand"
        )
    return sum(amount for amount, _ in back)


def _listed_refunds(parent: Object, payment: str) -> list[Object]:
    """A payment's refunds out of its order (version 2) or its parent payment (version 1)."""
    found = []
    for unit in _objects(parent, "purchase_units"):
        for refund in _objects(strict.mapping(unit, "payments"), "refunds"):
            found += [refund for href in _links(refund, "up") if href.rpartition("/")[2] == payment]
    for transaction in _objects(parent, "transactions"):
        for related in _objects(transaction, "related_resources"):
            refund = strict.mapping(related, "refund")
            found += [refund] if payment in (refund.get("sale_id"), refund.get("capture_id")) else []
    return found


def _objects(holder: Object, key: str) -> list[Object]:
    value = holder.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _refund(refund: Object, type: str, endpoint: Endpoint) -> list[Fact]:
    state, own = _state(refund), strict.name(refund, "id")
    up = _place(refund, "up", endpoint.mode) or ""
    payment = (
        strict.optional_name(refund, "sale_id")
        or strict.optional_name(refund, "capture_id")
        or (up.rpartition("/")[2] if up.startswith("/v2/payments/captures/") else None)
    )
    if payment is None:
        raise Unusable("the refund names no payment")
    amount, currency = _money(refund, signed=True)  # version 1 may tell what it does to the balance
    if amount == 0:
        raise Ignored("zero amount: nothing went back")
    cause = f"refund:reversal {own} of {payment}" if type.endswith(".REVERSED") else f"refund:{own}"
    if state == "completed":
        return [Reversed(payment, strict.iso_time(refund, "create_time"), cause, amount, currency)]
    if state in {"failed", "cancelled"}:
        return [Restored(payment, _updated(refund), cause, amount, currency)]
    if state == "pending":
        raise NotYet("PayPal says that the refund is pending")
    raise Unusable(f"the refund is in a state that we do not know: {state[:60]}")


def _dispute(dispute: Object, type: str, endpoint: Endpoint) -> list[Fact]:
    disputed = dispute.get("disputed_transactions")
    if not isinstance(disputed, list) or len(disputed) != 1 or not isinstance(disputed[0], dict):
        raise Unusable("the dispute is not about exactly one payment: see to its sessions by hand")
    _check_account(strict.mapping(disputed[0], "seller"), endpoint)
    payment, at = strict.name(disputed[0], "seller_transaction_id"), _updated(dispute)
    status = str(dispute.get("status"))[:60]
    if type.endswith(".RESOLVED") and status != "RESOLVED":
        raise NotYet(f"PayPal says that the dispute is {status}, though the event says {type}")
    amount, currency = _money(dispute, "dispute_amount")
    taken, credited = _movements(dispute, amount, currency)
    if not taken and not credited:
        outcome = str(strict.mapping(dispute, "dispute_outcome").get("outcome_code"))
        taken, credited = amount * (outcome in _LOST), amount * (outcome in _WON)
    # Of one group with the payment's reversals, which are the same money.
    cause, facts = f"refund:dispute {strict.name(dispute, 'dispute_id')} of {payment}", list[Fact]()
    if taken:
        facts.append(Reversed(payment, at, cause, taken, currency, running_total=True))
    if credited:
        facts.append(Restored(payment, at, cause, credited, currency))
    if not facts:
        raise Ignored(f"the dispute is {status}: no money moved; another event tells when it does")
    return facts


_LOST = {"RESOLVED_BUYER_FAVOUR", "ACCEPTED"}
_WON = {"RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "DENIED"}
"""How disputes end, for those that tell of no money moved; all others, such as PayPal's own payout, cost us nothing."""


def _movements(dispute: Object, amount: int, currency: str) -> tuple[int, int]:
    """What the dispute took from the seller, and what it gave back; its fees apart."""
    movements = dispute.get("fund_movements") or dispute.get("money_movements") or []
    if not isinstance(movements, list) or not all(isinstance(movement, dict) for movement in movements):
        raise Unusable("the dispute's money movements are not a list of objects")
    moved = {"DEBIT": 0, "CREDIT": 0}
    for movement in movements:
        party = movement.get("party") or movement.get("affected_party")
        if party != "SELLER" or str(movement.get("reason")).endswith("FEE"):
            continue
        kind = str(movement.get("type"))
        if kind not in moved:
            raise Unusable(f"a money movement is neither DEBIT nor CREDIT, but {kind[:60]}")
        value, theirs = _money(movement)
        # In another currency than the member paid in, it is the whole disputed amount.
        moved[kind] += value if theirs == currency else amount
    return moved["DEBIT"], moved["CREDIT"]


def _money(holder: Object, key: str = "amount", *, signed: bool = False) -> tuple[int, str]:
    """The amount in minor units and its currency, as version 1 or 2 of the API has them; `signed` may be negative."""
    money = strict.mapping(holder, key)
    amount, code = ("total", "currency") if "currency" in money else ("value", "currency_code")
    currency, text = strict.currency(money, code), money.get(amount)
    if not isinstance(text, str):
        raise Unusable(f"the amount's {amount} is not a text")
    text = text.removeprefix("-") if signed else text
    return strict.decimal_amount({amount: text}, amount, currency), currency


def _state(holder: Object) -> str:
    """What version 1 calls state, and version 2 status."""
    return str(holder.get("state") or holder.get("status")).lower()


def _updated(holder: Object) -> datetime:
    return strict.iso_time(holder, "update_time" if holder.get("update_time") else "create_time")


def _check_account(party: Object, endpoint: Endpoint) -> None:
    theirs = strict.optional_name(party, "merchant_id")
    if endpoint.account and theirs and theirs != endpoint.account:
        raise Unusable(f"it belongs to merchant {theirs!r}, but the endpoint's is {endpoint.account!r}")


_READINGS: dict[str, Callable[[Object, str, Endpoint], list[Fact]]] = {
    "/v1/payments/sale": _payment,
    "/v1/payments/capture": _payment,
    "/v2/payments/captures": _payment,
    "/v1/payments/refund": _refund,
    "/v2/payments/refunds": _refund,
    "/v1/customer/disputes": _dispute,
}
"""Where a resource stands in the API -> what it means."""

_FETCHED = ("PAYMENT.SALE.", "PAYMENT.CAPTURE.", "PAYMENT.REFUND.", "CUSTOMER.DISPUTE.")
"""Beginnings of the types of which the resource is fetched; what it then tells is no matter of the type."""

_WHY_IGNORED = {
    "PAYMENTS.PAYMENT.CREATED": "the same money as PAYMENT.SALE.COMPLETED, which credits",
    "CHECKOUT.ORDER.COMPLETED": "the same money as PAYMENT.CAPTURE.COMPLETED, which credits",
    "CHECKOUT.ORDER.APPROVED": "no money moved yet: PAYMENT.CAPTURE.COMPLETED tells when it does",
    "BILLING.SUBSCRIPTION.ACTIVATED": "no money moved yet: PAYMENT.SALE.COMPLETED tells when it does",
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": "a failed attempt: no money moved",
    "RISK.DISPUTE.CREATED": "the same dispute as CUSTOMER.DISPUTE.CREATED",
}

_PARENTS = ("/v2/checkout/orders", "/v1/payments/payment")
"""Where a payment's order or parent payment stands, which lists its refunds."""


def _links(holder: Object, rel: str) -> Iterator[str]:
    links = holder.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == rel and isinstance(link.get("href"), str):
            yield link["href"]


def _place(resource: Object, rel: str, mode: str, places: Iterable[str] = _READINGS) -> str | None:
    """Where in that mode's API its link leads to, such as "/v1/payments/sale/ID"; None where it is none of the places.

    No more than the path is taken from a link: whom to ask is not its to say.
    """
    known = rf"https://api(?:-m)?\.{re.escape(DOMAINS[mode])}((?:{'|'.join(places)})/[A-Za-z0-9-]{{1,64}})"
    found = (re.fullmatch(known, href, re.ASCII) for href in _links(resource, rel))
    return next((match[1] for match in found if match), None)


# Signatures


def _text(transmission_id: str, time: str, webhook_id: bytes, body: bytes) -> bytes:
    first, second = (part.encode("latin-1", "replace") for part in (transmission_id, time))
    return b"%b|%b|%b|%d" % (first, second, webhook_id, crc32(body))


def _signed(
    key: "RSAPublicKey", signature: bytes, transmission_id: str, time: str, webhook_id: bytes, body: bytes
) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, _text(transmission_id, time, webhook_id, body), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _decoded(text: str) -> bytes:
    """What base64 stands for; empty for anything else, also for another spelling of the same."""
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return value if base64.b64encode(value).decode() == text else b""


def _stale(time: str, now: float) -> Invalid | None:
    try:
        sent_at = datetime.fromisoformat(time)
        age_s = now - sent_at.timestamp()
    except (ValueError, OverflowError):
        return Invalid("PAYPAL-TRANSMISSION-TIME is not a time")
    if sent_at.tzinfo is None:
        return Invalid("PAYPAL-TRANSMISSION-TIME has no offset")
    if age_s > MAX_AGE.total_seconds():
        return Invalid("PAYPAL-TRANSMISSION-TIME is too old")
    if age_s < -TOLERANCE_S:
        return Invalid("PAYPAL-TRANSMISSION-TIME is in the future")
    return None


@cache
def _private_key(file: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(file.read_bytes(), None)
