"""The Offer Builder: the list of offers, and what becomes of an offer as a whole."""

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from wtforms import StringField
from wtforms.validators import Length

from console.edits import Edit
from console.rows import the_offer
from console.web import buckets, terms
from console.web.access import actor, database, done, needs, told
from console.web.forms import Form
from console.web.offer_page import KINDS, STATES, page
from models.catalogue import offers
from models.catalogue.tables import Offer, PaymentTerm, SessionBucket
from models.errors import NameMissing, NameTaken, SppError
from models.members.memberships import Membership
from models.staff import actions
from models.staff.accounts import Role

pages = Blueprint("offers", __name__, url_prefix="/offers")
pages.register_blueprint(buckets.pages)
pages.register_blueprint(terms.pages)


class NameForm(Form):
    """What an offer is called."""

    name = StringField("Name", [Length(max=200)], description="As staff and members see it, such as Gold or All In.",
                       render_kw={"autofocus": True, "autocomplete": "off"})  # fmt: skip


NAME_ERRORS: dict[type[SppError], str] = {NameMissing: "name", NameTaken: "name"}


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """The offers by name, of one state or all."""
    return _list("list")


def _list(template: str, status: int = 200, **window: object) -> ResponseReturnValue:
    state = request.args.get("state", "")
    counts = dict(database().execute(select(Offer.state, func.count()).group_by(Offer.state)).all())
    parts = [
        select(func.count()).where(part.offer_id == Offer.id).correlate(Offer).scalar_subquery()
        for part in (SessionBucket, PaymentTerm, Membership)
    ]
    query = select(Offer, *parts).order_by(func.lower(Offer.name))
    if state in STATES:
        query = query.where(Offer.state == state)
    return render_template(
        f"offers/{template}.html", listed=database().execute(query).all(), counts=counts, state=state,
        states={"": "All", **STATES}, kinds=KINDS, **window,
    ), status  # fmt: skip


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.MANAGER)
def new() -> ResponseReturnValue:
    """A new draft."""
    form = NameForm()
    if form.validate_on_submit():
        with form.refusals(NAME_ERRORS):
            offer = offers.create(database(), form.text("name"))
            actions.log(database(), actor(), "create offer", _of(offer))
        if not form.errors:
            done(f"{offer.name} is a draft now: add what it is made of, then publish it.")
            return redirect(url_for(".show", offer_id=offer.id))
    return _list("new", 422 if form.errors else 200, form=form)


@pages.get("/<id:offer_id>")
@needs(Role.VIEWER)
def show(offer_id: int) -> ResponseReturnValue:
    """One offer: its state, session buckets and payment terms."""
    return page(the_offer(offer_id))


@pages.route("/<id:offer_id>/rename", methods=["GET", "POST"])
@needs(Role.MANAGER)
def rename(offer_id: int) -> ResponseReturnValue:
    """Another name; memberships show it too."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = NameForm(name=offer.name)
    if form.validate_on_submit():
        edit = Edit(offer, "name")
        with form.refusals(NAME_ERRORS):
            offers.rename(database(), offer, form.text("name"))
            edit.log("rename offer", f"offer {offer.id}")
        if not form.errors:
            done(f"The offer is called {offer.name} now.")
            return redirect(url_for(".show", offer_id=offer.id))
    return page(offer, "named", form=form, title=f"Rename {offer.name}", button="Save")


@pages.route("/<id:offer_id>/copy", methods=["GET", "POST"])
@needs(Role.MANAGER)
def copy(offer_id: int) -> ResponseReturnValue:
    """A new draft with all that can still be sold of this offer."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = NameForm(name=f"Copy of {offer.name}"[:200])
    if form.validate_on_submit():
        with form.refusals(NAME_ERRORS):
            draft = offers.copy(database(), offer, form.text("name"))
            actions.log(database(), actor(), "copy offer", f"{_of(offer)} to {_of(draft)}")
        if not form.errors:
            done(f"{draft.name} is a draft with the session buckets and payment terms of {offer.name}.")
            return redirect(url_for(".show", offer_id=draft.id))
    return page(offer, "named", form=form, title=f"Copy {offer.name}", button="Make the copy")


@pages.post("/<id:offer_id>/publish")
@needs(Role.MANAGER)
def publish(offer_id: int) -> ResponseReturnValue:
    """Puts a draft on sale, or a retired offer back on sale."""
    return _turn(offer_id, Offer.publish, "publish offer", "is on sale.")


@pages.post("/<id:offer_id>/retire")
@needs(Role.MANAGER)
def retire(offer_id: int) -> ResponseReturnValue:
    """Takes it off sale."""
    return _turn(offer_id, Offer.retire, "retire offer", "is off sale. Memberships that bought it go on.")


def _turn(offer_id: int, act: Callable[[Offer], None], verb: str, told_text: str) -> ResponseReturnValue:
    offer = the_offer(offer_id, lock=True)
    edit = Edit(offer, "state")
    try:
        act(offer)
        edit.log(verb, _of(offer))
        done(f"{offer.name} {told_text}")
    except SppError as error:
        told(error)
    return redirect(url_for(".show", offer_id=offer_id))


@pages.route("/<id:offer_id>/delete", methods=["GET", "POST"])
@needs(Role.MANAGER)
def delete(offer_id: int) -> ResponseReturnValue:
    """Deletes a draft, once that is confirmed."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = Form()
    if form.validate_on_submit():
        with form.refusals():
            actions.log(database(), actor(), "delete offer", _of(offer))
            offers.delete(database(), offer)
        if not form.errors:
            done(f"The draft {offer.name} is deleted.")
            return redirect(url_for(".overview"))
    text = f"The draft {offer.name} with its session buckets and payment terms. Nobody has bought it."
    return page(offer, "delete", form=form, title=f"Delete {offer.name}?", text=text)


def _of(offer: Offer) -> str:
    return f"offer {offer.id}, {offer.name}"
