"""API tokens: made, shown once, revoked."""

from flask import abort, render_template, url_for
from flask_login import current_user
from sqlalchemy import select
from wtforms import RadioField, SelectChoice, SelectField

from console.request import actor, database, utc_now
from console.web.access import Answer, Pages, Role
from console.web.fields import text_field
from console.web.formats import words
from console.web.forms import Form, page
from models.database.naming import MAX_NAME_LENGTH
from models.errors import SppError
from models.staff import tokens
from models.staff.accounts import Staff
from models.staff.tokens import ApiToken, TokenScope
from runtime.language import Texts, say

pages = Pages("tokens", __name__, url_prefix="/tokens")

MAY: Texts = {
    TokenScope.READ: "Read",
    TokenScope.WRITE: "Read and write, as far as the role of its account allows: redeem, sign up, build offers",
}


class TokenForm(Form):
    """A new token."""

    name = text_field(
        "Name", "Type what the token is for.", most=MAX_NAME_LENGTH, description="What it is for, such as Scheduler."
    )
    owner = SelectField(
        "It acts as",
        coerce=int,
        choices=lambda: _owners(),
        description="Give a program an account of its own, such as one for the desk, and it can do no more than that.",
    )
    scope = RadioField(
        "It may", choices=[SelectChoice(str(scope), text) for scope, text in MAY.items()], default=TokenScope.READ
    )


@pages.page("/", Role.ADMIN)
def overview() -> Answer:
    """Every token, those in use first."""
    return _page("list")


@pages.form("/new", Role.ADMIN)
def new() -> Answer:
    """Make a token. Its text stands in this answer only, and is stored nowhere."""
    form = TokenForm(owner=current_user.account.id)
    if form.validate_on_submit():
        owner, scope = database().get_one(Staff, form.owner.data), TokenScope(form.scope.data)
        try:
            made = tokens.make(database(), owner, name=form.text("name"), scope=scope, by=actor())
        except SppError as error:
            form.refuse(error)
        else:
            return render_template("tokens/made.html", token=made.token, text=made.text)
    return _page("new", form=form)


@pages.form("/<id:token_id>/revoke", Role.ADMIN)
def revoke(token_id: int) -> Answer:
    """End a token's use, once that is confirmed."""
    token, form = database().get(ApiToken, token_id) or abort(404), Form()

    def act() -> tuple[str, str]:
        tokens.revoke(database(), token_id, by=actor(), now=utc_now())
        return say("{name} is revoked.", name=token.name), url_for(".overview")

    return form.submitted(act) or _page("revoke", token=token, form=form)


def _owners() -> list[SelectChoice]:
    """The accounts that a token can act as: those in use."""
    active = select(Staff).where(Staff.disabled_at.is_(None)).order_by(Staff.email)
    return [SelectChoice(one.id, f"{one.email}, {words(one.role)}") for one in database().scalars(active)]


def _page(template: str, **window: object) -> Answer:
    return page(f"tokens/{template}.html", tokens=tokens.list_tokens(database()), **window)
