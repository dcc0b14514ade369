"""Braintree's API: its transactions of some time, asked for by the official library. Loaded by the worker only."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from time import sleep
from typing import Any

import braintree
import requests
from braintree.exceptions.not_found_error import NotFoundError

from webhooks.processors import http
from webhooks.processors.base import Object
from webhooks.processors.braintree import Braintree
from webhooks.processors.braintree_meaning import DECLINED, NEVER, TAKEN, billing_period, paid_before
from webhooks.processors.events import Unavailable

LATE = timedelta(days=60)
"""How long after its creation a charge can still be voided or declined: bank debits come back so late."""
MOST_FOUND = 10_000
"""Braintree finds no more than 20,000 transactions at once, and formerly 10,000: then we ask for half the time."""
TRIES = 3
MAX_WAIT_S = 60.0
KEPT = (
    "id", "type", "status", "amount", "currency_iso_code", "created_at", "merchant_account_id", "subscription_id",
    "refunded_transaction_id", "plan_id",
)  # fmt: skip
KEPT_OF_EXTRA = ("id", "amount", "quantity", "number_of_billing_cycles")
"""Of an add-on or discount."""
PERIOD = ("billing_period_start_date", "billing_period_end_date")


def transactions(processor: Braintree, since: datetime, until: datetime) -> Iterator[Object]:
    """Every transaction that may matter, some of them twice. Raises Unavailable."""
    search = braintree.TransactionSearch
    account = processor.endpoint.account
    ours = [search.merchant_account_id.in_list([account])] if account else []
    undone = search.status.in_list(["voided", *DECLINED])
    failed_refunds = search.status.in_list(list(NEVER)), search.type.in_list(["credit"])
    with requests.Session() as session:
        gateway = braintree.BraintreeGateway(configuration(processor, session))
        try:
            for field, start, criteria in (
                (search.created_at, since, ours),
                (search.submitted_for_settlement_at, since, ours),
                (search.created_at, since - LATE, [*ours, undone]),
                (search.created_at, since - LATE, [*ours, *failed_refunds]),
            ):
                for found in _search(gateway, field, start, until, criteria):
                    transaction = _kept(found)
                    yield transaction | {"paid_before": _paid_before(gateway, transaction)}
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 -- the library raises anything on an answer that is not Braintree's
            raise Unavailable(f"Braintree's API answers something else ({type(error).__name__})") from None


def _search(gateway: Any, field: Any, since: datetime, until: datetime, criteria: list[Any]) -> Iterator[Any]:
    found = gateway.transaction.search(field.between(since, until), *criteria)
    if not isinstance(found.ids, list):
        raise TypeError("ids")
    if found.maximum_size < MOST_FOUND or until - since <= timedelta(seconds=1):
        yield from found.items
        return
    middle = since + (until - since) / 2
    yield from _search(gateway, field, middle, until, criteria)
    yield from _search(gateway, field, since, middle, criteria)


def _paid_before(gateway: Any, charge: Object) -> str | None:
    """The charge that had paid the same period; asks for the subscription of a charge made after its billing day."""
    period, subscription = billing_period(charge), charge["subscription_id"]
    if not period or not subscription or charge["status"] not in TAKEN or charge["created_at"][:10] <= period:
        return None
    try:
        others = gateway.subscription.find(subscription).transactions
    except NotFoundError:
        return None
    return paid_before(charge, map(_kept, others))


def _kept(transaction: Any) -> Object:
    """The part of the library's transaction that matters, in a notice's words. It changes only with the status."""
    history = getattr(transaction, "status_history", None) or []
    reached = [event.timestamp for event in history if event.status == transaction.status]
    details = getattr(transaction, "subscription_details", None)
    return {name: _text(getattr(transaction, name, None)) for name in KEPT} | {
        "status_since": _text(reached[0] if reached else transaction.created_at),
        "customer": {"id": _text(getattr(getattr(transaction, "customer_details", None), "id", None))},
        "subscription": {name: _day(getattr(details, name, None)) for name in PERIOD},
        "add_ons": _extras(transaction, "add_ons"),
        "discounts": _extras(transaction, "discounts"),
    }


def _extras(transaction: Any, kind: str) -> list[Object]:
    each_of = getattr(transaction, kind, None) or []
    return [{name: _text(getattr(extra, name, None)) for name in KEPT_OF_EXTRA} for extra in each_of]


def _day(value: Any) -> str | None:
    return None if value is None else f"{value:%Y-%m-%d}"


def _text(value: Any) -> str | None:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, date) else None if value is None else str(value)


def configuration(processor: Braintree, session: requests.Session | None) -> Any:
    """The library's configuration for the endpoint. Raises Unavailable where there is no API key."""
    merchant_id, public_key, private_key = processor.api_credentials()
    live = processor.endpoint.mode == "live"
    return braintree.Configuration(
        braintree.Environment.Production if live else braintree.Environment.Sandbox,
        merchant_id=merchant_id,
        public_key=public_key,
        private_key=private_key,
        http_strategy=lambda _, environment: _Http(processor, environment, session),
    )


class _Http:
    """The library's requests: bounded in time, waiting as long as a rate limit says, with clear errors."""

    def __init__(self, processor: Braintree, environment: Any, session: Any) -> None:
        self._processor, self._environment, self._session = processor, environment, session

    def http_do(self, method: str, url: str, headers: dict[str, Any], body: Any) -> list[Any]:
        """The status and the body of the answer. Raises Unavailable."""
        certificates = self._environment.ssl_certificate
        if api := self._processor.api_address:
            url = api + url.removeprefix(self._environment.base_url)
            certificates = True
        for left in reversed(range(TRIES)):
            try:
                answer = self._session.request(
                    method, url, headers=headers, data=body, timeout=http.TIMEOUT_S, verify=certificates,
                    allow_redirects=False,
                )  # fmt: skip
            except requests.RequestException as error:
                raise Unavailable(f"Braintree's API does not answer ({type(error).__name__})") from None
            status = answer.status_code
            if not left or not (status == 429 or status >= 500):
                break
            sleep(wait_s(answer.headers.get("Retry-After", "")))
        if status in {401, 403}:
            raise self._processor.key_refused("Braintree", status)
        if status == 429 or status >= 500:
            raise Unavailable(f"Braintree's API answers {status}")
        return [status, answer.content]


def wait_s(retry_after: str) -> float:
    """How long to wait before the next try, by the header Retry-After."""
    return min(float(retry_after), MAX_WAIT_S) if re.fullmatch("[0-9]{1,9}", retry_after, re.ASCII) else 0.5
