"""The Flask app of the console."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_bootstrap import Bootstrap5
from flask_login import current_user
from flask_openapi3 import Info, OpenAPI
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from console import api, bounds, broker_state, links
from console.request import MAX_FILE_BYTES, largest_body, open_to_all, undo
from console.web import (
    access,
    announcements,
    audits,
    cards,
    check_in,
    clubs,
    delivery,
    expiry,
    exports,
    first_steps,
    formats,
    imports,
    inventory,
    languages,
    log,
    login,
    members,
    membership_moves,
    memberships,
    moving_in,
    offers,
    operations,
    password_links,
    reports,
    review,
    second_factor,
    sign_up,
    staff,
    tokens,
)
from console.web.cookies import Cookies
from models.database.engine import make_engine, sessions
from models.database.migrations import not_ready
from models.errors import SppError
from models.operations.situation import Lookout
from models.staff.accounts import Role
from runtime import logs
from runtime.language import grouped, noted, say
from runtime.outages import DATABASE, is_away
from runtime.settings import Settings
from serving.metrics import Metrics

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
NOT_FOUND = noted("Not found")
NOT_POSSIBLE = noted("That is not possible")
NAVIGATION = (
    ("check_in.start", noted("Check in"), Role.DESK),
    ("members.search", noted("Members"), Role.VIEWER),
    ("sign_up.form", noted("Sign-up"), Role.DESK),
    ("review.overview", noted("Review"), Role.VIEWER),
    ("offers.overview", noted("Offer Builder"), Role.VIEWER),
    ("operations.overview", noted("Operations"), Role.VIEWER),
)
MORE_NAVIGATION = {
    noted("Gym"): (
        ("reports.overview", noted("Reports"), Role.MANAGER),
        ("inventory.overview", noted("Inventory Management"), Role.VIEWER),
        ("clubs.overview", noted("Clubs"), Role.VIEWER),
        ("moving_in.overview", noted("Moving in and out"), Role.VIEWER),
    ),
    noted("Administration"): (
        ("log.overview", noted("Action log"), Role.MANAGER),
        ("staff.overview", noted("Staff"), Role.ADMIN),
        ("tokens.overview", noted("API tokens"), Role.ADMIN),
    ),
}
"""The links of the bar, and those behind its "More" in groups, each with the role that it needs."""
TABS = (
    (
        ("moving_in.overview", noted("Moving in"), Role.VIEWER),
        ("imports.overview", noted("Imports"), Role.MANAGER),
        ("exports.overview", noted("Exports"), Role.MANAGER),
    ),
)
"""Pages that stand under one link of the bar, and lead to each other."""


class IdConverter(IntegerConverter):
    """An id in a path; other text is not found.

    A pattern decides, because Werkzeug answers 405 where a number is out of bounds and another method takes the path.
    """

    regex = "[1-9][0-9]{0,17}"


def create_app(settings: Settings) -> Flask:
    """The console for these settings. Raises SettingsError."""
    logs.configure(settings.log_level)
    app: Flask = OpenAPI("console.web", info=Info(title="Sessions Per Payment", version="1"), doc_ui=False)
    app.config.update(
        SECRET_KEY=settings.console_key(),
        MAX_CONTENT_LENGTH=MAX_FILE_BYTES,  # of any request; before_request limits most to less
        SESSION_COOKIE_NAME="__Host-spp" if settings.console_https else "spp",
        SESSION_COOKIE_SECURE=settings.console_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.console_session_hours),
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session lasts
        WTF_CSRF_SSL_STRICT=settings.console_https,
        BOOTSTRAP_SERVE_LOCAL=True,
        SPP=settings,
    )
    app.session_interface = Cookies()
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        # The address and whether it was HTTPS, and nothing else that a client could make up.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    engine = make_engine(settings.database_url, pool_size=16)
    app.url_map.converters["id"] = IdConverter
    app.extensions["spp_engine"] = engine
    broker = broker_state.recent(settings.broker_url)
    factory = sessions(engine, test_endpoints=settings.test_endpoints)
    lookout = Lookout(factory, settings, broker=lambda: broker().trouble)
    app.extensions |= {"spp_lookout": lookout, "spp_broker": broker}

    @app.before_request
    def begin() -> None:
        request.max_content_length = largest_body(_view())
        g.factory = factory

    languages.install(app)  # before a refusal is written
    access.install(app)
    links.install(app, settings, factory)
    Bootstrap5(app)
    CSRFProtect(app)
    formats.install(app)
    first_steps.install(app)
    delivery.install(app)
    _pages(app)
    _errors(app)

    # A blueprint of its own, because the app's own decorators add routes to the API's description.
    start = Blueprint("start", __name__)

    @start.get("/")
    @access.needs(Role.VIEWER)
    def home() -> ResponseReturnValue:
        at_the_desk = current_user.account.role == Role.DESK
        return redirect(url_for("check_in.start" if at_the_desk else "members.search"))

    @start.get("/healthz")
    @open_to_all
    def healthz() -> Response:
        """Liveness: this process answers."""
        return Response("alive", mimetype="text/plain")

    @start.get("/readyz")
    @open_to_all
    def readyz() -> Response:
        """Readiness: the database answers and has this code's schema."""
        reason = not_ready(engine)
        return Response(reason or "ready", 503 if reason else 200, mimetype="text/plain")

    measured = Metrics(settings, factory, lookout, lambda: broker().queues)
    start.get("/metrics")(open_to_all(measured.answer))
    app.register_blueprint(start)

    @app.after_request
    def harden(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        if settings.console_https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        if not delivery.is_static(request.endpoint) or response.status_code >= 400:
            headers["Cache-Control"] = "no-store"
        return response

    return app


def _view() -> object:
    return current_app.view_functions.get(request.endpoint or "")


def _pages(app: Flask) -> None:
    """Register every blueprint; each page and route names the role that it needs."""
    people = (login, check_in, members, sign_up, memberships, membership_moves, cards, review, log, staff, tokens)
    accounts = (languages, password_links, second_factor)
    house = (moving_in, offers, inventory, clubs, operations, announcements, expiry, audits, reports, imports, exports)
    for part in (*people, *accounts, *house):
        app.register_blueprint(part.pages)
    api.install(app)
    app.context_processor(_menus)


def _menus() -> dict[str, object]:
    whole = bounds.club_ids() is None
    # Of Operations, people who are bound to clubs see what expires, is announced, and awaits its payment.
    bound = [
        ("expiry.overview", *more) if page == "operations.overview" else (page, *more) for page, *more in NAVIGATION
    ]
    return {
        "navigation": _labeled(NAVIGATION if whole else bound),
        "more_navigation": {say(group): _labeled(links) for group, links in MORE_NAVIGATION.items()},
        "tab_groups": [_labeled(links) for links in TABS],
        "sees_all_clubs": whole,
    }


def _labeled(links: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [(page, say(label), role) for page, label, role in links]


def _errors(app: Flask) -> None:
    def message(status: int, title: str, text: str) -> ResponseReturnValue:
        undo()
        return render_template("message.html", title=say(title), text=say(text)), status

    @app.errorhandler(CSRFError)
    def expired(error: CSRFError) -> ResponseReturnValue:  # noqa: ARG001
        return message(
            400,
            noted("This form is too old"),
            noted("You were logged out, or the page was open too long. Go back, reload it, and send it again."),
        )

    @app.errorhandler(SppError)
    def refused(error: SppError) -> ResponseReturnValue:
        return message(error.status, NOT_FOUND if error.status == 404 else NOT_POSSIBLE, str(error))

    @app.errorhandler(DataError)
    def too_large(error: DataError) -> ResponseReturnValue:  # noqa: ARG001
        return message(422, NOT_POSSIBLE, noted("A number or a text is too large."))

    @app.errorhandler(OperationalError)
    @app.errorhandler(NoConnection)
    def unreachable(error: OperationalError | NoConnection) -> ResponseReturnValue:
        if is_away(error):
            DATABASE.failed(error, "pages")
        text = noted("The database is not reachable, or busy. Nothing was changed. Try again in a moment.")
        return message(503, noted("Not available"), text)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if 300 <= status < 400:
            return error
        texts = {
            403: noted("Your role does not allow this. Ask a manager."),
            404: noted("There is no such page."),
            413: say(
                "That is too much: at most {limit} kB are taken at once.", limit=grouped(largest_body(_view()) // 1024)
            ),
        }
        title = NOT_FOUND if status == 404 else HTTPStatus(status).phrase
        answer = make_response(message(status, title, texts.get(status, error.description or "")))
        if "Allow" in (headers := dict(error.get_headers())):
            answer.headers["Allow"] = headers["Allow"]
        return answer
