"""Who may see and do what: logging in, the session, and the role that each page and route needs.

A page or route that does not say whom it is open to is closed to everybody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from flask import Blueprint, Flask, abort, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from sqlalchemy.orm import Session, sessionmaker
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from console.request import View, open_to
from console.request import actor as actor
from console.request import database as database
from console.request import open_to_all as open_to_all
from console.request import undo as undo
from console.web.forms import Form
from models.errors import SppError, WrongLogin
from models.staff import accounts, logins
from models.staff.accounts import Role, Staff

pages = Blueprint("access", __name__)
log = structlog.get_logger()


@dataclass(frozen=True)
class User(UserMixin):  # type: ignore[misc]
    """Who is logged in. The cookie names a login that the database keeps: once that is ended, no copy of it counts."""

    account: Staff
    login: UUID

    def get_id(self) -> str:
        """What the cookie says."""
        return self.login.hex

    def may(self, needed: str) -> bool:
        """Whether the account's role is enough for what needs that one."""
        return accounts.may(self.account.role, Role(needed))


def install(app: Flask, factory: sessionmaker[Session]) -> None:
    """Gives each request a database session and the person behind it, and closes what nobody has opened."""
    manager = LoginManager(app)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(text: str) -> User | None:
        if "asked" in g:
            return None
        g.asked = True  # if the database fails to answer, the page that says so does not ask again
        try:
            login = UUID(text)
        except ValueError:
            return None
        account = logins.account(database(), login, datetime.now(UTC))
        if account is None:
            return None
        database().expunge(account)  # undoing what a request has done leaves it as it is
        return User(account, login)

    @app.before_request
    def admit() -> ResponseReturnValue | None:
        g.factory = factory
        view = app.view_functions.get(request.endpoint or "")
        if view is None or (request.endpoint or "").split(".")[-1] == "static":
            return None  # not found, or a file for everybody
        needed = getattr(view, "needs", None)
        if needed is None:
            abort(403)
        if needed == "":
            return None
        if not current_user.is_authenticated:
            return redirect(url_for("access.log_in", next=_here()))
        if not current_user.may(needed):
            abort(403)
        return None

    @app.teardown_request
    def close(error: BaseException | None) -> None:  # noqa: ARG001
        if "database" in g:
            g.pop("database").close()


def needs(role: Role) -> Callable[[View], View]:
    """Open a page to people of at least that role. Commit when it has answered without an error."""
    return lambda view: open_to(view, role.value)


class LoginForm(Form):
    """Who comes in."""

    email = StringField("E-mail", [InputRequired()], render_kw={"autocomplete": "username", "autofocus": True})
    password = PasswordField("Password", [InputRequired()], render_kw={"autocomplete": "current-password"})


@pages.route("/login", methods=["GET", "POST"])
@open_to_all
def log_in() -> ResponseReturnValue:
    """The way in."""
    if current_user.is_authenticated:
        return redirect(url_for("start.home"))
    form = LoginForm()
    if form.validate_on_submit():
        address = request.remote_addr or ""
        known = logins.log_in(
            database(), email=form.email.data or "", password=form.password.data or "", address=address,
            now=datetime.now(UTC),
        )  # fmt: skip
        if isinstance(known, Staff):
            session.clear()
            begin_session(known)
            return redirect(_local(request.args.get("next")) or url_for("start.home"))
        login_failed(known)
        form.refuse(known)
        if isinstance(known, WrongLogin):
            return render_template("login.html", form=form), 401
        return render_template("login.html", form=form), 429, {"Retry-After": str(known.details["seconds"])}
    return render_template("login.html", form=form)


def login_failed(refusal: SppError) -> None:
    """Logs that somebody did not get in, and from where; what they typed may be a password in the wrong field."""
    log.warning("login_failed", why=type(refusal).__name__, address=request.remote_addr, **refusal.details)


def begin_session(person: Staff) -> None:
    """Logs the request's browser in as the person, as they are now; a login that it had ends."""
    session.permanent = True
    before = current_user.login if current_user.is_authenticated else None
    login_user(User(person, logins.begin(database(), person, datetime.now(UTC), instead_of=before)))


@pages.post("/logout")
@open_to_all
def log_out() -> ResponseReturnValue:
    """The way out, of this browser: its login ends, wherever its cookie was copied to."""
    if current_user.is_authenticated:
        logins.end(database(), current_user.login)
    logout_user()
    session.clear()
    return redirect(url_for("access.log_in"))


def _here() -> str | None:
    """Where to go after logging in: the page that was asked for, if it can be asked for again."""
    if request.method != "GET" or request.path == "/":
        return None
    return request.full_path if request.query_string else request.path


def _local(target: str | None) -> str | None:
    """The target, if it is a page of ours: a login must not send people elsewhere.

    Browsers read a backslash as a slash and leave out tabs and line breaks, so nothing that has them passes.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    return target if target.isprintable() and not set("\\ ") & set(target) else None


def done(text: str) -> None:
    """Tells on the next page what was done."""
    flash(text, "success")


def told(error: SppError) -> None:
    """Tells on the next page what was refused."""
    undo()
    flash(str(error), "danger")
