"""Every page with every role, and as a stranger; a page that the tables do not have fails."""

import re
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher
from flask import Flask
from werkzeug.routing import Rule

from console.web.access import needs
from models.staff import accounts
from models.staff.accounts import Role
from tests.console.web.conftest import Browser
from tests.models.gym import Gym

LogIn = Callable[[Role], Browser]

PAGES: dict[tuple[Role, ...], str] = {
    (Role.VIEWER,): """
        GET /
        GET /members/
        GET /members/<id>
        GET /members/<id>/grants
        GET /members/<id>/statement
        GET /members/<id>/statement.csv
        GET /members/<id>/entries/<id>
        GET /members/adjustments
        GET /memberships/<id>
        GET /memberships/awaiting
        GET /operations/
        GET /operations/acts/
        GET /operations/acts/<id>
        GET /operations/events/
        GET /operations/events/<id>
        GET /review/
        GET /review/not-dues
        GET /offers/
        GET /offers/<id>
        GET /inventory/
        GET /clubs/
        GET /clubs/<id>/closures/
        GET, POST /staff/password
        GET, POST /staff/second-factor/
        GET, POST /staff/second-factor/off
        GET /expiry/
        GET /expiry/expiring.csv
        GET /audits/
        GET /audits/<id>
        GET /announcements/
        GET /moving-in/
    """,
    (Role.DESK,): """
        GET /check-in/
        GET /check-in/suggestions
        GET, POST /check-in/<id>
        POST /check-in/redemptions/<id>/undo
        GET /memberships/<id>/card
        GET, POST /sign-up/
        POST /memberships/<id>/billing
        POST /memberships/<id>/checkout/<name>
        POST /members/<id>/redeem
        GET, POST /members/<id>/redemptions/<id>/give-back
        GET, POST /members/<id>/adjust
        GET, POST /members/<id>/edit
        POST /members/adjustments/<id>/decline
    """,
    (Role.MANAGER,): """
        GET, POST /memberships/<id>/plan
        GET, POST /memberships/<id>/plan/withdraw
        GET, POST /memberships/<id>/freeze
        GET, POST /memberships/<id>/end
        GET, POST /memberships/<id>/life/<id>
        GET, POST /memberships/<id>/life/<id>/undo
        GET, POST /memberships/<id>/cut-over
        POST /memberships/<id>/remove
        POST /memberships/awaiting/remove
        POST /memberships/<id>/clear-overdue
        GET, POST /memberships/<id>/club
        GET, POST /memberships/<id>/references
        GET, POST /members/<id>/grants/<id>/extend
        GET, POST /members/<id>/merge
        GET, POST /members/<id>/merged/<id>/undo
        GET, POST /members/<id>/erase
        GET, POST /members/<id>/test
        GET, POST /members/<id>/clock
        POST /members/adjustments/<id>/approve
        GET, POST /offers/new
        POST /offers/<id>/publish
        POST /offers/<id>/retire
        GET, POST /offers/<id>/rename
        GET, POST /offers/<id>/copy
        GET, POST /offers/<id>/delete
        GET, POST /offers/<id>/buckets
        GET, POST /offers/<id>/buckets/new
        GET, POST /offers/<id>/move
        GET /offers/<id>/terms/preview
        GET, POST /offers/<id>/buckets/<id>/remove
        GET, POST /offers/<id>/terms/new
        GET, POST /offers/<id>/terms/<id>
        POST /offers/<id>/terms/<id>/retire
        POST /offers/<id>/terms/<id>/bring-back
        GET, POST /offers/<id>/terms/<id>/delete
        GET, POST /inventory/new
        GET, POST /inventory/<id>
        GET, POST /clubs/new
        GET, POST /clubs/<id>
        GET, POST /clubs/<id>/closures/new
        GET, POST /clubs/<id>/closures/<id>
        GET, POST /clubs/<id>/closures/<id>/undo
        GET, POST /review/<id>/not-dues
        GET, POST /review/not-dues/<id>/undo
        POST /announcements/<id>/<id>/apply
        POST /announcements/<id>/<id>/dismiss
        GET /reports/
        GET /reports/outstanding
        GET /reports/outstanding.csv
        GET /reports/months
        GET /reports/months.csv
        GET /reports/expiring
        GET /reports/expiring.csv
        GET /reports/nothing-left
        GET /reports/nothing-left.csv
        GET /reports/busy-hours
        GET /reports/busy-hours.csv
        GET /reports/used-share
        GET /reports/used-share.csv
        GET /log/
        GET /imports/
        GET /imports/template-<name>.csv
        GET, POST /imports/new
        GET /imports/<id>
        POST /imports/<id>/columns
        POST /imports/<id>/write
        POST /imports/<id>/judge-again
        POST /imports/<id>/discard
        GET, POST /imports/<id>/undo
        GET /exports/
        GET /exports/<name>.csv
    """,
    (Role.OPERATOR,): """
        GET /operations/acts/discard-all
        POST /operations/acts/discard-all
        GET /operations/acts/release-all
        POST /operations/acts/release-all
        GET /operations/acts/replay-all
        POST /operations/acts/replay-all
        POST /operations/acts/<id>/cancel
        GET /operations/events/<id>/discard
        POST /operations/events/<id>/discard
        GET /operations/events/<id>/release
        POST /operations/events/<id>/release
        POST /operations/events/<id>/replay
        GET /operations/endpoints/<name>/pause
        POST /operations/endpoints/<name>/pause
        GET /operations/endpoints/<name>/resume
        POST /operations/endpoints/<name>/resume
        GET, POST /expiry/<id>/allow
        GET, POST /expiry/<id>/undo
    """,
    (Role.DESK, Role.OPERATOR): """
        GET, POST /review/<id>/link
    """,
    (Role.MANAGER, Role.OPERATOR): """
        GET, POST /review/<id>/accept
        GET, POST /review/accept-all
    """,
    (Role.ADMIN,): """
        GET /staff/
        GET, POST /staff/new
        GET /staff/<id>
        POST /staff/<id>/role
        POST /staff/<id>/clubs
        POST /staff/<id>/second-factor
        POST /staff/<id>/invitation
        POST /staff/<id>/password
        POST /staff/<id>/disable
        POST /staff/<id>/enable
        GET /tokens/
        GET, POST /tokens/new
        GET, POST /tokens/<id>/revoke
    """,
}
OPEN = """
    GET, POST /login
    GET, POST /login/code
    GET, POST /login/forgot
    GET, POST /login/password/<text>
    POST /logout
    POST /language/
    GET /healthz
    GET /readyz
    GET /metrics
    GET /static/<filename>
    GET /bootstrap/static/<filename>
"""
"""To everybody."""

Route = tuple[str, str]
"""A method and a path."""


def routes(table: str) -> list[Route]:
    """Each method and path of the table."""
    lines = [line.strip().rpartition(" ") for line in table.strip().splitlines()]
    return [(method, path) for methods, _, path in lines for method in methods.split(", ")]


def as_in_tables(rule: Rule) -> list[Route]:
    path = re.sub(r"<(\w+):(\w+)>", lambda found: "<id>" if found[1] == "id" else f"<{found[2]}>", rule.rule)
    return [(method, path) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]


def somewhere(path: str) -> str:
    """The path with ids that nothing has: who may go there finds nothing."""
    return re.sub(r"<\w+>", "999999", path)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing that costs next to nothing."""
    monkeypatch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_the_tables_have_every_page_once(site: Flask) -> None:
    told = [route for table in (*PAGES.values(), OPEN) for route in routes(table)]
    pages = [rule for rule in site.url_map.iter_rules() if not rule.rule.startswith("/api/")]
    there = [route for rule in pages for route in as_in_tables(rule)]
    assert sorted(told) == sorted(there)


@pytest.mark.parametrize("role", Role)
def test_each_role_opens_its_own_pages_and_those_of_the_roles_below(log_in: LogIn, gym: Gym, role: Role) -> None:
    person = log_in(role)
    person.get("/staff/password")
    for needed, table in PAGES.items():
        allowed = accounts.may(role, *needed)
        for method, path in routes(table):
            data = {"csrf_token": person.token} if method == "POST" else None
            answer = person.client.open(somewhere(path), method=method, data=data)
            assert (answer.status_code != 403) == allowed, (method, path, answer.status)
            assert answer.status_code < 500
            assert not answer.headers.get("Location", "").startswith("/login")


def test_a_stranger_is_sent_to_the_login_and_does_nothing(stranger: Browser, gym: Gym) -> None:
    stranger.get("/login")
    for table in PAGES.values():
        for method, path in routes(table):
            data = {"csrf_token": stranger.token} if method == "POST" else None
            answer = stranger.client.open(somewhere(path), method=method, data=data)
            assert answer.status_code == 302, (method, path)
            assert answer.headers["Location"].partition("?")[0] == "/login"


def test_what_is_open_is_open_to_strangers(stranger: Browser) -> None:
    for method, path in routes(OPEN):
        stranger.get("/login")
        data = {"csrf_token": stranger.token} if method == "POST" else None
        answer = stranger.client.open(somewhere(path), method=method, data=data)
        assert answer.status_code in (200, 302, 404), (method, path)
        assert "next=" not in answer.headers.get("Location", "")


def test_a_page_that_says_nothing_is_closed_to_everybody(site: Flask, log_in: LogIn) -> None:
    def forgotten() -> str:
        return "open"

    site.add_url_rule("/forgotten", view_func=forgotten)
    site.add_url_rule("/marked", view_func=needs(Role.VIEWER)(lambda: "open"), endpoint="marked")
    admin = log_in(Role.ADMIN)
    assert admin.get("/forgotten").status_code == 403
    assert site.test_client().get("/forgotten").status_code == 403
    assert admin.get("/marked").status_code == 200
