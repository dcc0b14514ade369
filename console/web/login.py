"""Logging in and out."""

from datetime import UTC, datetime, timedelta

import structlog
from flask import Blueprint, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from console import links
from console.request import database, open_to_all
from console.web.access import User
from console.web.forms import Form
from models.errors import SppError, TooManyFailures
from models.staff import logins
from models.staff.accounts import Staff

pages = Blueprint("login", __name__)
CODE_WITHIN = timedelta(minutes=5)
"""After the password."""
_HALF = "half_logged_in"
log = structlog.get_logger()


class LoginForm(Form):
    """Login name and password."""

    email = StringField("E-mail", [InputRequired()], render_kw={"autocomplete": "username", "autofocus": True})
    password = PasswordField("Password", [InputRequired()], render_kw={"autocomplete": "current-password"})


@pages.route("/login", methods=["GET", "POST"])
@open_to_all
def log_in() -> ResponseReturnValue:
    """Log in, and go to the page that was asked for before."""
    if current_user.is_authenticated:
        return redirect(url_for("start.home"))
    form = LoginForm()
    if form.validate_on_submit():
        address = request.remote_addr or ""
        email, password = form.email.data or "", form.password.data or ""
        known = logins.log_in(database(), email=email, password=password, address=address, now=datetime.now(UTC))
        if isinstance(known, Staff):
            session.clear()
            if known.second_factor is None:
                return _logged_in(known)
            session[_HALF] = [known.id, known.password_changed_at.isoformat(), datetime.now(UTC).timestamp()]
            return redirect(url_for(".ask_code", next=request.args.get("next")))
        return _refused("login.html", form, known)
    return render_template("login.html", form=form, forgot=links.of(current_app) is not None)


class CodeForm(Form):
    """A code of the app, or a recovery code."""

    code = StringField(
        "Code from your app, or a recovery code",
        [InputRequired("Type the code."), Length(max=100)],
        render_kw={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"},
    )


@pages.route("/login/code", methods=["GET", "POST"])
@open_to_all
def ask_code() -> ResponseReturnValue:
    """The second factor of somebody whose password was right a moment ago."""
    person, form = _half_logged_in(), CodeForm()
    if person is None:
        session.pop(_HALF, None)
        return redirect(url_for(".log_in", next=request.args.get("next")))
    if form.validate_on_submit():
        key, address = current_app.config["SECRET_KEY"], request.remote_addr or ""
        code, now = form.code.data or "", datetime.now(UTC)
        known = logins.log_in_with_code(database(), person, code, key=key, address=address, now=now)
        if isinstance(known, Staff):
            session.clear()
            return _logged_in(known)
        return _refused("login/code.html", form, known)
    return render_template("login/code.html", form=form)


def _half_logged_in() -> Staff | None:
    """The active account whose password was right; not for long, and not after it has another password."""
    try:
        staff_id, changed, at = session[_HALF]
    except (KeyError, ValueError):
        return None
    person = database().get(Staff, staff_id)
    late = datetime.now(UTC).timestamp() > at + CODE_WITHIN.total_seconds()
    if late or person is None or not person.active or person.second_factor is None:
        return None
    return person if person.password_changed_at.isoformat() == changed else None


def _logged_in(person: Staff) -> ResponseReturnValue:
    begin_session(person)
    return redirect(local_target(request.args.get("next")) or url_for("start.home"))


def _refused(template: str, form: Form, refusal: SppError) -> ResponseReturnValue:
    login_failed(refusal)
    form.refuse(refusal)
    shown = render_template(template, form=form, forgot=links.of(current_app) is not None)
    if not isinstance(refusal, TooManyFailures):
        return shown, 401
    return shown, 429, {"Retry-After": str(refusal.details["seconds"])}


def login_failed(refusal: SppError) -> None:
    """Log a refused login and its address. The typed name stays out: it may be a password in the wrong field."""
    log.warning("login_failed", why=type(refusal).__name__, address=request.remote_addr, **refusal.details)


def begin_session(person: Staff) -> None:
    """Log the browser in as the person, with their role of now; a login that it had before ends."""
    session.permanent = True
    before = current_user.login if current_user.is_authenticated else None
    login_user(User(person, logins.begin(database(), person, datetime.now(UTC), instead_of=before)))


@pages.post("/logout")
@open_to_all
def log_out() -> ResponseReturnValue:
    """End this browser's login in the database, so that no copy of its cookie counts."""
    if current_user.is_authenticated:
        logins.end(database(), current_user.login)
    logout_user()
    session.clear()
    return redirect(url_for("login.log_in"))


def local_target(target: str | None) -> str | None:
    """The target if it is a page of ours, which closes the open redirect.

    Browsers read a backslash as a slash and leave out tabs and line breaks, so a target with any of them is refused.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    return target if target.isprintable() and not set("\\ ") & set(target) else None
