"""One's own second factor: set up with an app that shows codes, set up again, turned off."""

import segno
from flask import current_app, flash, redirect, render_template, request, session, url_for
from flask_login import current_user
from markupsafe import Markup
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from console.request import actor, database, utc_now
from console.web.access import Answer, Pages, Role, needs_second_factor
from console.web.forms import Form, page
from console.web.login import login_failed
from models.errors import SppError, WrongLogin, WrongPassword
from models.staff import logins, second_factor
from models.staff.accounts import Staff
from runtime.language import say

pages = Pages("second_factor", __name__, url_prefix="/staff/second-factor")

_PROPOSED = "second_factor_proposed"


def _own_password() -> PasswordField:
    checks, attributes = [InputRequired("Type your password.")], {"autocomplete": "current-password"}
    return PasswordField("Your password", checks, render_kw=attributes)


class TurnOffForm(Form):
    """One's password, so that nobody does it at a browser that was left open."""

    current = _own_password()


class SetUpForm(TurnOffForm):
    """The code that the app shows, and one's password."""

    code = StringField(
        "Code that the app shows",
        [InputRequired("Type the 6 digits that the app shows."), Length(max=40)],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )
    current = _own_password()  # defined again, because fields stand in the order of definition


@pages.form("/", Role.VIEWER)
def set_up() -> Answer:
    """Set up a second factor, or another one in its place. The recovery codes stand in this answer only."""
    form, key = SetUpForm(), current_app.config["SECRET_KEY"]
    # A seed is no secret: without the console's secret it makes no codes.
    seed = bytes.fromhex(session.setdefault(_PROPOSED, second_factor.new_seed().hex()))
    if form.validate_on_submit() and (person := _checked(form)):
        try:
            codes = second_factor.set_up(database(), person, seed, form.code.data, key=key, by=actor(), now=utc_now())
        except SppError as error:
            form.refuse(error)
        else:
            session.pop(_PROPOSED)
            return render_template("second_factor/codes.html", codes=codes)
    account = current_user.account
    drawn = segno.make(second_factor.uri(seed, key, account), error="m").svg_inline(scale=4, border=3, light="#fff")
    return page(
        "second_factor/set_up.html",
        form=form,
        qr=Markup(drawn),  # noqa: S704 -- drawn by us
        secret=second_factor.secret(seed, key),
        has=account.second_factor is not None,
        required=needs_second_factor(account),
        off=TurnOffForm(formdata=None),
    )


@pages.form("/off", Role.VIEWER)
def turn_off() -> Answer:
    """Log in with the password alone from now on, where the role allows that."""
    form = TurnOffForm()
    if form.validate_on_submit() and (person := _checked(form)):
        second_factor.turn_off(database(), person, by=actor())
        flash(say("You log in with your password alone from now on."), "success")
        return redirect(url_for("start.home"))
    return page("second_factor/off.html", form=form)


def _checked(form: TurnOffForm) -> Staff | None:
    """The person, if that is their password; its failures count as at login."""
    email, address = current_user.account.email, request.remote_addr or ""
    known = logins.check(database(), email=email, password=form.current.data, address=address, now=utc_now())
    if isinstance(known, Staff):
        return known
    login_failed(known)
    known.field = "current"
    form.refuse(WrongPassword() if isinstance(known, WrongLogin) else known)
    return None
