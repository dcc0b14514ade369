"""Braintree's search for transactions, and its subscriptions, in XML.

Kept as `transactions`, with the API's names for their fields: a transaction is found by
`created_at`, and by `STATUS_at` for each status in its `status_history`. Source:
developer.paypal.com/braintree/docs/reference/request/transaction/search, and the
official library's transaction_gateway and subscription_gateway.
"""

from typing import Any
from xml.etree import ElementTree as ET

from flask import Flask, Response, request

from local.api_objects import Objects

PAGE = 50


def routes(app: Flask, objects: Objects) -> None:
    """Find the `transactions`, the newest first, for any API key."""

    @app.before_request
    def refuse() -> Response | None:
        return None if request.authorization else Response(status=401)

    def transactions() -> list[dict[str, Any]]:
        return sorted(objects.all("transactions"), key=lambda each: (each["created_at"], each["id"]), reverse=True)

    @app.post("/merchants/<_merchant>/transactions/advanced_search_ids")
    def advanced_search_ids(_merchant: str) -> Response:
        ids = [transaction["id"] for transaction in transactions() if _matches(transaction, _criteria())]
        return _answer(_element("search-results", {"page-size": PAGE, "ids": ids}))

    @app.post("/merchants/<_merchant>/transactions/advanced_search")
    def advanced_search(_merchant: str) -> Response:
        found = [transaction for transaction in transactions() if _matches(transaction, _criteria())]
        root = _element("credit-card-transactions", {"page-size": PAGE})
        root.extend(_element("transaction", transaction) for transaction in found[:PAGE])
        return _answer(root)

    @app.get("/merchants/<_merchant>/subscriptions/<id>")
    def subscription(_merchant: str, id: str) -> Response:
        of = [transaction for transaction in transactions() if transaction.get("subscription_id") == id]
        if not of:
            return Response(status=404)
        return _answer(_element("subscription", {"id": id, "add-ons": [], "discounts": [], "transactions": of[:20]}))


def _criteria() -> ET.Element:
    return ET.fromstring(request.get_data())  # noqa: S314 -- we sent it ourselves


def _matches(transaction: dict[str, Any], search: ET.Element) -> bool:
    times = {"created_at": transaction["created_at"]}
    times |= {f"{event['status']}_at": event["timestamp"] for event in transaction.get("status_history", [])}
    for wanted in search:
        first, last = wanted.findtext("min"), wanted.findtext("max")
        if first and last:
            if not first <= times.get(wanted.tag, "") <= last:
                return False
        elif transaction.get("id" if wanted.tag == "ids" else wanted.tag) not in [item.text for item in wanted]:
            return False
    return True


def _answer(root: ET.Element) -> Response:
    return Response(ET.tostring(root), mimetype="application/xml")


def _element(name: str, value: Any) -> ET.Element:
    element = ET.Element(name.replace("_", "-"))
    if isinstance(value, dict):
        element.extend(_element(key, each) for key, each in value.items())
    elif isinstance(value, list):
        element.set("type", "array")
        element.extend(_element("transaction" if name == "transactions" else "item", each) for each in value)
    elif value is None:
        element.set("nil", "true")
    else:
        kind = "integer" if isinstance(value, int) else "datetime" if name.endswith(("_at", "timestamp")) else "string"
        element.set("type", "date" if name.endswith("_date") else kind)
        element.text = str(value)
    return element
