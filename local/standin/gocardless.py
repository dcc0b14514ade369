"""GoCardless's payments, refunds, mandates, billing requests and list of events.

Source: developer.gocardless.com/api-reference.
"""

from flask import Flask, Response, jsonify, request

from local.api_objects import Objects

MOST = 500


def routes(app: Flask, objects: Objects) -> None:
    """Give one object by its id, and events by the time of their creation, the newest first."""

    @app.before_request
    def check() -> tuple[Response, int] | None:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return _refusal(401, "invalid_api_usage", "Access token not found")
        if request.headers.get("GoCardless-Version") != "2015-07-06":
            return _refusal(400, "invalid_api_usage", "Version not found")
        return None

    @app.get("/<any(payments, refunds, mandates, billing_requests):kind>/<number>")
    def resource(kind: str, number: str) -> Response | tuple[Response, int]:
        found = objects.get(kind, number)
        return jsonify({kind: found}) if found else _refusal(404, "invalid_api_usage", "Resource not found")

    @app.get("/events")
    def events() -> Response | tuple[Response, int]:
        asked = request.args
        limit = asked.get("limit", 50, int)
        if not 1 <= limit <= MOST:
            return _refusal(422, "validation_failed", "Validation failed")
        found = [event for event in objects.all("events") if event["created_at"] >= asked.get("created_at[gte]", "")]
        found = [event for event in found if event["created_at"] < asked.get("created_at[lt]", "~")]
        found.sort(key=lambda event: (event["created_at"], event["id"]), reverse=True)
        ids = [event["id"] for event in found]
        if after := asked.get("after"):
            found = found[ids.index(after) + 1 :]
        cursors = {"before": None, "after": found[limit - 1]["id"] if len(found) > limit else None}
        # An app's webhooks name the organisation; the API does not.
        shown = found[:limit]
        for event in shown:
            event["links"].pop("organisation", None)
        return jsonify(events=shown, meta={"cursors": cursors, "limit": limit})


def _refusal(status: int, kind: str, message: str) -> tuple[Response, int]:
    error = {"message": message, "type": kind, "code": status, "errors": [{"message": message}]}
    return jsonify(error=error), status
