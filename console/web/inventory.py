"""Inventory Management: the items that offers are made of."""

from typing import Any

from flask import request, url_for
from sqlalchemy import func, select
from wtforms import RadioField, SelectField

from console.edits import edited, log, named
from console.request import database, utc_now
from console.rows import row
from console.web.access import Answer, Pages, Role
from console.web.fields import Checks, text_field
from console.web.forms import EditForm, page
from models.catalogue import items as inventory
from models.catalogue.clubs import Club
from models.catalogue.items import GoodAt, Item, ItemKind, SessionType
from models.catalogue.tables import SessionBucket
from runtime.language import Texts, noted, say

pages = Pages("inventory", __name__, url_prefix="/inventory")

KINDS: Texts = {ItemKind.SCHEDULER_BUCKET.value: "Scheduler Bucket", ItemKind.OTHER.value: "Other"}
ABOUT_KINDS: Texts = {
    ItemKind.SCHEDULER_BUCKET.value: "Scheduler Bucket: adds sessions to a member's account",
    ItemKind.OTHER.value: "Other: anything else that is sold",
}
TYPES: Texts = {SessionType.CLASS.value: "Class", SessionType.PERSONAL_TRAINING.value: "Personal Training"}


PLACES = {
    GoodAt.HOME.value: "At the home club: that of the membership when its dues were paid",
    GoodAt.LISTED.value: "At the clubs below",
    GoodAt.ALL.value: "At all clubs",
}


class ItemForm(EditForm):
    """An item."""

    name = text_field("Name", description="As members and staff see it, such as Group Class.", autofocus=True)
    kind = RadioField("Kind", choices=ABOUT_KINDS, default=ItemKind.SCHEDULER_BUCKET.value)
    session_type = SelectField(
        "Session type",
        choices={"": noted("Choose"), **TYPES},
        description="What the sessions are good for. It counts for Scheduler Buckets only.",
    )
    good_at = RadioField(
        "Where its sessions can be used",
        choices=PLACES,
        default=GoodAt.HOME.value,
        description="A change counts for sessions that are given from now on.",
    )
    club_ids = Checks("Clubs", description="Where they can be used, if that is at some clubs only.")


def _form(item: Item | None = None) -> ItemForm:
    """The form; where there is one club, without the question where sessions can be used."""
    form = ItemForm(obj=item)
    known = database().scalars(select(Club).order_by(func.lower(Club.name))).all()
    form.club_ids.choices = [(club.id, club.name) for club in known]
    if len(known) < 2:
        del form.good_at, form.club_ids
    return form


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The items by name."""
    return _list("list")


def _list(template: str, **window: object) -> Answer:
    offers_with = select(func.count()).where(SessionBucket.item_id == Item.id).correlate(Item).scalar_subquery()
    items = database().execute(select(Item, offers_with).order_by(func.lower(Item.name))).all()
    clubs = {club.id: club.name for club in database().scalars(select(Club).order_by(func.lower(Club.name)))}
    return page(f"inventory/{template}.html", items=items, kinds=KINDS, types=TYPES, clubs=clubs, **window)


@pages.form("/new", Role.MANAGER)
def new() -> Answer:
    """Add an item."""
    form = _form()

    def act() -> tuple[str, str]:
        item = inventory.create_item(database(), **_given(form))
        sort = ", ".join([KINDS[item.kind], *([TYPES[item.session_type]] if item.session_type else [])])
        log("create item", f"{named(item)}: {sort}")
        return say("{name} is added.", name=item.name), url_for(".overview")

    return form.submitted(act) or _list("item", form=form)


@pages.form("/<id:item_id>", Role.MANAGER)
def edit(item_id: int) -> Answer:
    """Change an item's name and, while nothing uses it, its kind or type. Retire and Bring back save as well."""
    item = row(Item, item_id, lock=True)
    form, then = _form(item), request.form.get("then", "")

    def save() -> tuple[str, str]:
        with edited(item, "edit item", "name", "kind", "session_type", "good_at", "club_ids"):
            inventory.edit_item(database(), item, **_given(form))
        return _retired_or_back(item, then), url_for(".overview")

    def delete() -> tuple[str, str]:
        name, subject = item.name, named(item)
        inventory.delete_item(database(), item)
        log("delete item", subject)
        return say("{name} is deleted.", name=name), url_for(".overview")

    # An item is deleted whatever else was typed.
    answer = form.done(delete) if form.is_submitted() and then == "delete" else form.submitted(save)
    return answer or _list("item", form=form, item=item)


def _retired_or_back(item: Item, then: str) -> str:
    """Retire the item or bring it back, where that was the button; the outcome in words."""
    if then == "retire":
        item.retire(utc_now())
        log("retire item", named(item))
        return say("{name} is retired: it can be added to no further offer.", name=item.name)
    if then == "bring-back":
        item.bring_back()
        log("bring back item", named(item))
        return say("{name} can be added to offers again.", name=item.name)
    return say("{name} is saved.", name=item.name)


def _given(form: ItemForm) -> dict[str, Any]:
    session_type = SessionType(form.session_type.data) if form.session_type.data else None
    given = {"name": form.text("name"), "kind": ItemKind(form.kind.data), "session_type": session_type}
    if "good_at" not in form:
        return given
    return {**given, "good_at": GoodAt(form.good_at.data), "club_ids": form.club_ids.data or ()}
