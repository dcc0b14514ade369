"""API tokens: made, shown once, revoked."""

from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select
from wtforms import RadioField, SelectChoice, SelectField, StringField
from wtforms.validators import InputRequired, Length

from console.web.access import actor, database, done, needs
from console.web.forms import Form
from models.database.naming import MAX_NAME_LENGTH
from models.errors import NameMissing, TextTooLong
from models.staff import tokens
from models.staff.accounts import Role, Staff
from models.staff.tokens import ApiToken, TokenScope

pages = Blueprint("tokens", __name__, url_prefix="/tokens")

MAY = {
    TokenScope.READ: "Read",
    TokenScope.WRITE: "Read and write, as far as the role of its account allows: redeem, sign up, build offers",
}


class TokenForm(Form):
    """A new token."""

    name = StringField("Name", [InputRequired("Type what the token is for."), Length(max=MAX_NAME_LENGTH)],
                       description="What it is for, such as Scheduler.", render_kw={"autocomplete": "off"})  # fmt: skip
    owner = SelectField(
        "It acts as", coerce=int, choices=lambda: _owners(),
        description="Give a program an account of its own, such as one for the desk, and it can do no more than that.",
    )  # fmt: skip
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
    """A new token. Its text stands in this answer alone, and is kept nowhere."""
    form = TokenForm(owner=current_user.account.id)
    if form.validate_on_submit():
        with form.refusals({NameMissing: "name", TextTooLong: "name"}):
            made = tokens.make(
                database(), database().get_one(Staff, form.owner.data), name=form.text("name"),
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


def _owners() -> list[SelectChoice]:
    """The accounts that a token can act as: those in use."""
    active = select(Staff).where(Staff.disabled_at.is_(None)).order_by(Staff.email)
    return [SelectChoice(one.id, f"{one.email}, {one.role}") for one in database().scalars(active)]


def _page(template: str, **window: object) -> str:
    return render_template(f"tokens/{template}.html", tokens=tokens.list_tokens(database()), **window)
