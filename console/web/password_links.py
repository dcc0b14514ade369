"""A password by mail: asking for a link, and setting the password that it is for. Only where mail is set up."""

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired, Length

from console import links
from console.request import database, open_to_all, undo, utc_now
from console.web.fields import text_field
from console.web.forms import Form
from models.database.naming import MAX_NAME_LENGTH
from models.errors import SppError, TooManyLinks
from models.staff import password_links
from models.staff.accounts import MIN_PASSWORD_LENGTH
from models.staff.actions import Actor
from models.staff.logins import UNKNOWN
from runtime.language import noted, say

pages = Blueprint("password_links", __name__)

ASKED = noted(
    "If that address has an account, a mail with a link is on its way. The link can be used once, within an hour."
)


class AskForm(Form):
    """Whose password it is."""

    email = text_field(
        "E-mail", "Type the address that you log in with.", most=MAX_NAME_LENGTH, type="email", autofocus=True
    )


class NewPasswordForm(Form):
    """The new password."""

    password = PasswordField(
        "New password",
        [InputRequired("Type the new password."), Length(max=1000)],
        description=lambda: say("At least {n} characters.", n=MIN_PASSWORD_LENGTH),
        render_kw={"autocomplete": "new-password", "autofocus": True},
    )
    again = PasswordField(
        "The new password again",
        [EqualTo("password", "This is not the same as above.")],
        render_kw={"autocomplete": "new-password"},
    )


@pages.route("/login/forgot", methods=["GET", "POST"])
@open_to_all
def ask() -> ResponseReturnValue:
    """Ask for a link. The answer, and its time, are the same whether the address has an account or not."""
    way, form = links.of(current_app) or abort(404), AskForm()
    if form.validate_on_submit():
        address, email = request.remote_addr or "", form.text("email")
        try:
            password_links.ask(database(), email, address=address, now=utc_now())
        except TooManyLinks as error:
            form.refuse(error)
            return render_template("login/forgot.html", form=form), 429
        way.mail(email, Actor(UNKNOWN, address))
        flash(say(ASKED), "info")
        return redirect(url_for("login.log_in"))
    return render_template("login/forgot.html", form=form), 422 if request.method == "POST" else 200


@pages.route("/login/password/<text>", methods=["GET", "POST"])
@open_to_all
def set_password(text: str) -> ResponseReturnValue:
    """Set the password that the link is for. Logging in with it comes next, with the second factor if there is one."""
    form, key = NewPasswordForm(), current_app.config["SECRET_KEY"]
    person = password_links.account(database(), text, key=key, now=utc_now())
    email = person.email
    if form.validate_on_submit():
        try:
            address = request.remote_addr or ""
            password_links.set_password(database(), text, form.password.data, key=key, address=address, now=utc_now())
        except SppError as error:
            undo()
            form.refuse(error)
        else:
            text = say("Your password is set: log in with it. Wherever you were logged in, you are logged out.")
            flash(text, "success")
            return redirect(url_for("login.log_in"))
    return render_template("login/password.html", form=form, email=email), 422 if request.method == "POST" else 200
