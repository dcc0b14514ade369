"""Logging in and out."""

from datetime import UTC, datetime

import structlog
from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from console.request import database, open_to_all
from console.web.access import User
from console.web.forms import Form
from models.errors import SppError, WrongLogin
from models.staff import logins
from models.staff.accounts import Staff

pages = Blueprint("login", __name__)
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
            begin_session(known)
            return redirect(local_target(request.args.get("next")) or url_for("start.home"))
        login_failed(known)
        form.refuse(known)
        if isinstance(known, WrongLogin):
            return render_template("login.html", form=form), 401
        return render_template("login.html", form=form), 429, {"Retry-After": str(known.details["seconds"])}
    return render_template("login.html", form=form)


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
