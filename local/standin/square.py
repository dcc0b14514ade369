"""Square's lists of locations, payments, refunds and disputes, its search for invoices, and its orders.

Source: developer.squareup.com/reference/square (ListLocations, ListPayments, ListPaymentRefunds, ListDisputes,
SearchInvoices, RetrieveOrder).
"""

from datetime import datetime
from typing import Any

from flask import Flask, Response, jsonify, request

from local.api_objects import Objects


def routes(app: Flask, objects: Objects) -> None:
    """List the `locations`, `payments`, `refunds`, `disputes` and `invoices`, 100 a page."""

    @app.before_request
    def refuse() -> tuple[Response, int] | None:
        if request.headers.get("Authorization", "").startswith("Bearer "):
            return None
        return jsonify(errors=[{"category": "AUTHENTICATION_ERROR", "code": "UNAUTHORIZED"}]), 401

    @app.get("/v2/<any(locations, payments, refunds, disputes):kind>")
    def objects_of(kind: str) -> Response:
        asked = request.args
        places = [location["id"] for location in objects.all("locations")]
        # Without a location: payments of the main one, other objects of all.
        place = asked.get("location_id", places[0] if kind == "payments" and places else None)
        order = "updated_at" if asked.get("sort_field") == "UPDATED_AT" else "created_at"
        found = [
            one
            for one in objects.all(kind)
            if (place is None or one.get("location_id") == place)
            and _between(one.get("created_at"), asked.get("begin_time"), asked.get("end_time"))
            and _between(one.get("updated_at"), asked.get("updated_at_begin_time"), asked.get("updated_at_end_time"))
        ]
        found.sort(key=lambda one: str(one.get(order)), reverse=asked.get("sort_order") != "ASC")
        return _page(kind, found, asked.get("cursor"), asked.get("limit", 100, int))

    @app.get("/v2/orders/<id>")
    def order(id: str) -> Response | tuple[Response, int]:
        found = objects.get("orders", id)
        if found is None:
            return jsonify(errors=[{"category": "INVALID_REQUEST_ERROR", "code": "NOT_FOUND"}]), 404
        return jsonify(order=found)

    @app.post("/v2/invoices/search")
    def search() -> Response:
        asked = request.get_json()
        wanted = asked["query"]["filter"]
        found = [
            invoice
            for invoice in objects.all("invoices")
            if invoice["location_id"] in wanted["location_ids"]
            and invoice["primary_recipient"]["customer_id"] in wanted["customer_ids"]
        ]
        return _page("invoices", found, asked.get("cursor"), asked.get("limit", 100))


def _between(time: str | None, begin: str | None, end: str | None) -> bool:
    moment = time and datetime.fromisoformat(time)
    return not moment or (
        (not begin or datetime.fromisoformat(begin) <= moment) and (not end or moment < datetime.fromisoformat(end))
    )


def _page(kind: str, found: list[Any], cursor: str | None, limit: int) -> Response:
    start = int(cursor or 0)
    page = {kind: found[start : start + limit]} if found else {}
    return jsonify(page | ({"cursor": str(start + limit)} if start + limit < len(found) else {}))
