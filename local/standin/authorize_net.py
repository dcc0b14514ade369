"""Authorize.Net's getTransactionDetails, at POST /xml/v1/request.api.

As theirs, it answers everything with status 200 and a byte order mark in front, and it minds the
order of the keys. Source: developer.authorize.net/api/reference, getTransactionDetails.
"""

import codecs
import json
from typing import Any

from flask import Flask, Response, request

from local.standin import Objects


def routes(app: Flask, objects: Objects) -> None:
    """Tells what is kept as `transactions`, to anyone who gives a login ID and a transaction key."""

    @app.post("/xml/v1/request.api")
    def details() -> Response:
        asked = (request.get_json(silent=True) or {}).get("getTransactionDetailsRequest")
        if not isinstance(asked, dict) or list(asked) != ["merchantAuthentication", "transId"]:
            return _error("E00003", "The element has invalid child elements.")
        login = asked["merchantAuthentication"]
        if not login.get("name") or not login.get("transactionKey"):
            return _error("E00007", "User authentication failed due to invalid authentication values.")
        transaction = objects.get("transactions", str(asked["transId"]))
        if transaction is None:
            return _error("E00040", "The record cannot be found.")
        return _answer({"transaction": transaction, "messages": _messages("Ok", "I00001", "Successful.")})


def _error(code: str, text: str) -> Response:
    return _answer({"messages": _messages("Error", code, text)})


def _messages(result: str, code: str, text: str) -> dict[str, Any]:
    return {"resultCode": result, "message": [{"code": code, "text": text}]}


def _answer(value: dict[str, Any]) -> Response:
    return Response(codecs.BOM_UTF8 + json.dumps(value).encode(), mimetype="application/json")
