"""API tokens: made, shown once, revoked."""

from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField, SelectChoice, StringField
from wtforms.validators import InputRequired, Length

from console.web.access import actor, database, done, needs
from console.web.forms import Form
from models import tokens
from models.errors import NameMissing, TextTooLong
from models.staff import MAX_NAME_LENGTH, Role, Staff
from models.tokens import ApiToken, TokenScope

pages = Blueprint("tokens", __name__, url_prefix="/tokens")

MAY = {TokenScope.READ: "Read", TokenScope.WRITE: "Read and write: redeem, give back, sign up"}


class TokenForm(Form):
    """A new token."""

    name = StringField("Name", [InputRequired("Type what the token is for."), Length(max=MAX_NAME_LENGTH)],
                       description="What it is for, such as Scheduler.", render_kw={"autocomplete": "off"})  # fmt: skip
    scope = RadioField(
        "It may", choices=[SelectChoice(scope.value, text) for scope, text in MAY.items()], default=TokenScope.READ
    )


@pages.get("/")
@needs(Role.ADMIN)
def overview() -> ResponseReturnValue:
    """Every token, those in use first."""
    return _page("list")


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.ADMIN)
def new() -> ResponseReturnValue:
    """A new token in one's own name. Its text stands in this answer alone, and is kept nowhere."""
    form = TokenForm()
    if form.validate_on_submit():
        with form.refusals({NameMissing: "name", TextTooLong: "name"}):
            made = tokens.make(
                database(), database().get_one(Staff, current_user.account.id), name=form.text("name"),
                scope=TokenScope(form.scope.data), by=actor(),
            )  # fmt: skip
        if not form.errors:
            return render_template("tokens/made.html", token=made.token, text=made.text)
    return _page("new", form=form), 422 if request.method == "POST" else 200


@pages.route("/<id:token_id>/revoke", methods=["GET", "POST"])
@needs(Role.ADMIN)
def revoke(token_id: int) -> ResponseReturnValue:
    """Ends a token's use, after asking."""
    token = database().get(ApiToken, token_id) or abort(404)
    if request.method == "GET":
        return _page("revoke", token=token)
    tokens.revoke(database(), token_id, by=actor(), now=datetime.now(UTC))
    done(f"{token.name} is revoked.")
    return redirect(url_for(".overview"))


def _page(template: str, **window: object) -> str:
    return render_template(f"tokens/{template}.html", tokens=tokens.listed(database()), **window)
