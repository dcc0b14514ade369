"""The JSON API for the scheduler and for sign-up, under /api/v1. `install` adds it to the console's app."""

from flask import Response, request
from flask_openapi3 import OpenAPI
from werkzeug.exceptions import HTTPException

from console.api import (
    adjustments,
    announcements,
    building,
    catalogue,
    clocks,
    closures,
    cut_over,
    document,
    entries,
    events,
    exports,
    first_payments,
    imports,
    life,
    members,
    memberships,
    moving_in,
    offers,
    operations,
    payment_terms,
    payments,
    persons,
    plan_changes,
    problems,
    redemptions,
    reports,
    reviews,
)
from console.api.gate import api

ROUTES = (
    members, entries, persons, clocks, memberships, first_payments, plan_changes, life, cut_over, closures,
    redemptions, adjustments, payments, reviews, moving_in, reports, events, operations, catalogue, building, offers,
    payment_terms,
    announcements, imports, exports,
)  # fmt: skip
"""The modules with routes, which register when they are loaded, in the order of the description."""


def install(app: OpenAPI) -> None:
    """Add the API, its description and its errors."""
    app.extensions["csrf"].exempt(api)
    app.register_api(api)
    app.register_blueprint(document.swagger)
    document.describe(app, list({part.TAG.name: part.TAG for part in ROUTES}.values()))


for kind, handler in problems.HANDLERS.items():
    api.register_error_handler(kind, handler)


@api.before_app_request  # type: ignore[untyped-decorator]
def no_such_route() -> Response | None:
    """Answer a path or method that the API does not have with a problem, not with a page."""
    error = request.routing_exception
    return problems.failed(error) if isinstance(error, HTTPException) and request.path.startswith("/api/") else None
