"""PayPal's payments, subscriptions, refunds, disputes and events.

Source: developer.paypal.com, the references of these APIs.
"""

from typing import Any

from flask import Flask, Response, jsonify, request

from local.api_objects import Objects

TOKEN = "A21AA-local"  # noqa: S105 -- of a stand-in
PLACES = (
    "/v1/payments/<any(sale, capture, refund):kind>/<id>",
    "/v2/payments/<any(captures, refunds):kind>/<id>",
    "/v2/checkout/<any(orders):kind>/<id>",
    "/v1/payments/<any(payment):kind>/<id>",
    "/v1/customer/<any(disputes):kind>/<id>",
    "/v1/billing/<any(subscriptions):kind>/<id>",
)


def routes(app: Flask, objects: Objects) -> None:
    """Give a token to any client, and for the token the object that the end of the path names."""

    @app.post("/v1/oauth2/token")
    def token() -> Response | tuple[Response, int]:
        if not request.authorization or request.form.get("grant_type") != "client_credentials":
            return jsonify(error="invalid_client", error_description="Client Authentication failed"), 401
        return jsonify(access_token=TOKEN, token_type="Bearer", expires_in=32400)  # noqa: S106 -- what kind it is

    def resource(kind: str, id: str) -> Response | tuple[Response, int]:
        if not _authorized():
            return _refusal("AUTHENTICATION_FAILURE"), 401
        found = objects.get(kind, id)
        return jsonify(found) if found else (_refusal("RESOURCE_NOT_FOUND"), 404)

    for place in PLACES:
        app.get(place)(resource)

    @app.get("/v1/notifications/webhooks-events")
    def events() -> Response | tuple[Response, int]:
        if not _authorized():
            return _refusal("AUTHENTICATION_FAILURE"), 401
        since, until = request.args["start_time"], request.args["end_time"]
        found = [event for event in objects.all("webhooks-events") if since <= event["create_time"] <= until]
        found.sort(key=lambda event: (event["create_time"], event["id"]), reverse=True)
        size, first = request.args.get("page_size", 10, int), request.args.get("index_id", 0, int)
        href = f"{request.base_url}?start_time={since}&end_time={until}&page_size={size}&move_to=next&index_id="
        links = [{"href": f"{href}{first + size}", "rel": "next", "method": "GET"}] if found[first + size :] else []
        page = found[first : first + size]
        return jsonify(events=page, count=len(page), links=links)


def _authorized() -> bool:
    return request.headers.get("Authorization") == f"Bearer {TOKEN}"


def _refusal(name: str) -> Response:
    error: dict[str, Any] = {"name": name, "message": "See the name of the error.", "debug_id": "local"}
    return jsonify(error)
