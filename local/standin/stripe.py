"""Stripe's events, as GET /v1/events lists them, and the objects that thin events name. Source: docs.stripe.com/api."""

from typing import Any

from flask import Flask, Response, jsonify, request

from local.api_objects import Objects

KINDS = "invoices, invoice_payments, refunds, charges, credit_notes, disputes, payment_intents"


def routes(app: Flask, objects: Objects) -> None:
    """List the `events`, those with an `account` for that account only, and without its name; give one object."""

    @app.before_request
    def check() -> tuple[Response, int] | None:
        if request.headers.get("Authorization", "").startswith("Bearer "):
            return None
        return _refusal("You did not provide an API key."), 401

    @app.get(f"/v1/<any({KINDS}):kind>/<id>")
    @app.get("/v1/checkout/<any(sessions):kind>/<id>")
    def thing(kind: str, id: str) -> Response | tuple[Response, int]:
        found = objects.get(kind, id)
        return jsonify(found) if found else (_refusal(f"No such object: {id!r}"), 404)

    @app.post("/v1/checkout/sessions")
    def checkout() -> Response | tuple[Response, int]:
        if "rk_read" in request.headers["Authorization"]:
            return _refusal("The key does not have the required permissions: Checkout Sessions, write."), 403
        session = {"id": f"cs_test_{len(list(objects.all('sessions'))) + 1}", **request.form.to_dict()}
        objects.put("sessions", session["id"], session)
        return jsonify(session | {"object": "checkout.session", "url": f"https://checkout.stripe.com/{session['id']}"})

    @app.get("/v1/events")
    def events() -> Response | tuple[Response, int]:
        asked = request.args
        types = {value for name, value in asked.items() if name.startswith("types[")}
        account = request.headers.get("Stripe-Account")
        found = [event for event in objects.all("events") if (event.get("account") or None) == account]
        if types:
            found = [event for event in found if event["type"] in types]
        found = [event for event in found if event["created"] >= asked.get("created[gte]", 0, int)]
        found = [event for event in found if event["created"] < asked.get("created[lt]", 2**63, int)]
        found.sort(key=lambda event: (event["created"], event["id"]), reverse=True)
        if after := asked.get("starting_after"):
            ids = [event["id"] for event in found]
            if after not in ids:
                return _refusal(f"No such event: {after!r}"), 400
            found = found[ids.index(after) + 1 :]
        limit = asked.get("limit", 10, int)
        shown = [{key: value for key, value in event.items() if key != "account"} for event in found[:limit]]
        return jsonify(object="list", url="/v1/events", has_more=len(found) > limit, data=shown)


def _refusal(message: str) -> Response:
    error: dict[str, Any] = {"type": "invalid_request_error", "message": message}
    return jsonify(error=error)
