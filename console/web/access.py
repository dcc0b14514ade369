"""Access: the account behind a request, and the role that each page and route needs.

A page or route that names no role is closed to everybody.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Flask, abort, current_app, flash, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user

from console import bounds
from console.bounds import club_ids as club_ids
from console.request import View, database, open_to
from models.staff import accounts, logins
from models.staff.accounts import Role as Role
from models.staff.accounts import Staff
from runtime.language import say

Answer = ResponseReturnValue
"""What a page returns."""


@dataclass(frozen=True)
class User(UserMixin):  # type: ignore[misc]
    """The account that is logged in. The cookie names a login in the database: when that ends, no copy of it counts."""

    account: Staff
    login: UUID

    def get_id(self) -> str:
        """The content of the cookie."""
        return self.login.hex

    def may(self, *needed: str) -> bool:
        """Whether the account's role is at least one of the needed ones, on the page of this request."""
        return self.may_on(request.endpoint or "", *needed)

    def may_on(self, page: str, *needed: str) -> bool:
        """The same on another page. On those of the catalogue, who is bound to clubs is a viewer."""
        is_reader = bool(self.account.club_ids) and bounds.is_catalogue(page)
        return accounts.may(Role.VIEWER if is_reader else self.account.role, *map(Role, needed))


def install(app: Flask) -> None:
    """Give each request its account, and refuse views that need another role."""
    manager = LoginManager(app)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(text: str) -> User | None:
        if "asked" in g:
            return None
        g.asked = True  # the page for a database that does not answer must not ask it again
        try:
            login = UUID(text)
        except ValueError:
            return None
        account = logins.account(database(), login, datetime.now(UTC))
        if account is None:
            return None
        database().expunge(account)  # so that a rollback does not expire it
        return User(account, login)

    @app.before_request
    def admit() -> Answer | None:
        view = app.view_functions.get(request.endpoint or "")
        if view is None or (request.endpoint or "").split(".")[-1] == "static":
            return None  # not found, or a file for everybody
        needed = getattr(view, "needs", None)
        if needed is None:
            abort(403)
        if needed == ():
            return None
        if not current_user.is_authenticated:
            return _to_log_in()
        if not current_user.may(*needed):
            abort(403)
        lacks = needs_second_factor(current_user.account) and current_user.account.second_factor is None
        if lacks and request.endpoint != "second_factor.set_up":
            return redirect(url_for("second_factor.set_up"))
        bounds.check_page(current_user.account.club_ids)
        return None

    @app.teardown_request
    def close(error: BaseException | None) -> None:  # noqa: ARG001
        if "database" in g:
            g.pop("database").close()


def needs_second_factor(account: Staff) -> bool:
    """Whether people of the account's role have to have a second factor."""
    return account.role in current_app.config["SPP"].second_factor_roles.split()


def needs(role: Role, *others: Role) -> Callable[[View], View]:
    """Open a page to people of at least one of these roles. Commit when it has answered without an error."""
    return lambda view: open_to(view, role, *others)


class Pages(Blueprint):
    """Pages of one subject, each with the role that it needs; any of them, where it names several."""

    def page(self, path: str, role: Role, *others: Role) -> Callable[[View], View]:
        """Register a page that only shows something."""
        return self._add(path, [role, *others], "GET")

    def form(self, path: str, role: Role, *others: Role) -> Callable[[View], View]:
        """Register a page with a form that is sent to its own address."""
        return self._add(path, [role, *others], "GET", "POST")

    def button(self, path: str, role: Role, *others: Role) -> Callable[[View], View]:
        """Register the address that a button or a form of another page sends to."""
        return self._add(path, [role, *others], "POST")

    def _add(self, path: str, roles: Sequence[Role], *methods: str) -> Callable[[View], View]:
        return lambda view: self.route(path, methods=methods)(needs(*roles)(view))


def _is_page(path: str) -> bool:
    """Whether something is shown at this path. A button's address only takes what is sent there."""
    adapter = current_app.create_url_adapter(request)
    return adapter is not None and "GET" in adapter.allowed_methods(path)


def _to_log_in() -> Answer:
    """To the login page, and from there back to the page that was asked for, or whose form was sent."""
    if request.method in ("GET", "HEAD"):
        here = request.full_path if request.query_string else request.path
    else:
        flash(say("You were logged out. Nothing was changed: send it again after logging in."), "warning")
        sent_from = urlsplit(request.referrer or "")
        ours = f"{sent_from.scheme}://{sent_from.netloc}/" == request.host_url and _is_page(sent_from.path)
        here = f"{sent_from.path}?{sent_from.query}".removesuffix("?") if ours else ""
    return redirect(url_for("login.log_in", next=here if here not in ("", "/") else None))
