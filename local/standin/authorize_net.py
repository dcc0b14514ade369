"""Authorize.Net's getTransactionDetails, getTransactionList and getSettledBatchList, at POST /xml/v1/request.api.

Like theirs, it answers everything with status 200 and a byte order mark in front, and checks the
order of the keys. Source: developer.authorize.net/api/reference, AnetApiSchema.xsd. The code of the
error for a period beyond 31 days is a guess.
"""

import codecs
import json
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, Response, request

from local.api_objects import Objects

LIST_FIELDS = (
    "transId", "submitTimeUTC", "submitTimeLocal", "transactionStatus", "firstName", "lastName", "settleAmount",
    "marketType", "product", "subscription", "hasReturnedItems", "profile",
)  # fmt: skip
"""The part of a transaction that a list has."""
KEYS = {
    "getTransactionDetailsRequest": ["transId"],
    "getTransactionListRequest": ["batchId", "sorting", "paging"],
    "getSettledBatchListRequest": ["firstSettlementDate", "lastSettlementDate"],
}


def routes(app: Flask, objects: Objects) -> None:
    """Answer from the `batches` and `transactions`, which name theirs as `batch`, for any API key."""

    @app.post("/xml/v1/request.api")
    def ask() -> Response:
        ((name, asked),) = (request.get_json(silent=True) or {"": None}).items()
        if name not in KEYS or not isinstance(asked, dict) or list(asked) != ["merchantAuthentication", *KEYS[name]]:
            return _error("E00003", "The element has invalid child elements.")
        login = asked["merchantAuthentication"]
        if not login.get("name") or not login.get("transactionKey"):
            return _error("E00007", "User authentication failed due to invalid authentication values.")
        if name == "getSettledBatchListRequest":
            return _batches(objects, asked["firstSettlementDate"], asked["lastSettlementDate"])
        if name == "getTransactionListRequest":
            return _transactions(objects, asked["batchId"], asked["paging"])
        transaction = objects.get("transactions", str(asked["transId"]))
        if transaction is None:
            return _error("E00040", "The record cannot be found.")
        return _answer({"transaction": transaction, "messages": _messages("Ok", "I00001", "Successful.")})


def _batches(objects: Objects, first: str, last: str) -> Response:
    if datetime.fromisoformat(last) - datetime.fromisoformat(first) > timedelta(days=31):
        return _error("E00013", "The date range is invalid.")
    found = [batch for batch in objects.all("batches") if first <= batch["settlementTimeUTC"] <= last]
    return _list("batchList", found[::-1])


def _transactions(objects: Objects, batch_id: str, paging: dict[str, str]) -> Response:
    limit, page = int(paging["limit"]), int(paging["offset"])
    of = [each for each in objects.all("transactions") if each.get("batch", {}).get("batchId") == batch_id]
    found = [{key: each[key] for key in LIST_FIELDS if key in each} for each in of[(page - 1) * limit : page * limit]]
    return _list("transactions", found)


def _list(name: str, found: list[Any]) -> Response:
    if not found:
        return _answer({"messages": _messages("Ok", "I00004", "No records found.")})
    return _answer({name: found, "messages": _messages("Ok", "I00001", "Successful.")})


def _error(code: str, text: str) -> Response:
    return _answer({"messages": _messages("Error", code, text)})


def _messages(result: str, code: str, text: str) -> dict[str, Any]:
    return {"resultCode": result, "message": [{"code": code, "text": text}]}


def _answer(value: dict[str, Any]) -> Response:
    return Response(codecs.BOM_UTF8 + json.dumps(value).encode(), mimetype="application/json")
