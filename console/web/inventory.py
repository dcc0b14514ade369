"""Inventory Management: the items that offers are made of."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from wtforms import RadioField, SelectField, StringField
from wtforms.validators import Length

from console.edits import Edit
from console.web.access import actor, database, done, needs
from console.web.forms import EditForm
from models.catalogue import items as inventory
from models.catalogue.tables import Item, ItemKind, SessionBucket, SessionType
from models.errors import ItemInUse, NameMissing, NameTaken, NotFound, SessionTypeMissing, SppError
from models.staff import actions
from models.staff.accounts import Role

pages = Blueprint("inventory", __name__, url_prefix="/inventory")

KINDS = {ItemKind.SCHEDULER_BUCKET.value: "Scheduler Bucket", ItemKind.OTHER.value: "Other"}
TYPES = {SessionType.CLASS.value: "Class", SessionType.PERSONAL_TRAINING.value: "Personal Training"}


class ItemForm(EditForm):
    """An item."""

    name = StringField("Name", [Length(max=200)], description="As members and staff see it, such as Group Class.",
                       render_kw={"autofocus": True, "autocomplete": "off"})  # fmt: skip
    kind = RadioField("Kind", choices={
        ItemKind.SCHEDULER_BUCKET.value: "Scheduler Bucket: adds sessions to a member's account",
        ItemKind.OTHER.value: "Other: anything else that is sold",
    }, default=ItemKind.SCHEDULER_BUCKET.value)  # fmt: skip
    session_type = SelectField(
        "Session type",
        choices={"": "Choose", **TYPES},
        description="What the sessions are good for. It counts for Scheduler Buckets only.",
    )


BESIDE: dict[type[SppError], str] = {
    NameMissing: "name", NameTaken: "name", ItemInUse: "kind", SessionTypeMissing: "session_type",
}  # fmt: skip
"""Which field each refusal is about."""


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """The items by name."""
    return _list("list")


def _list(template: str, status: int = 200, **window: object) -> ResponseReturnValue:
    offers_with = select(func.count()).where(SessionBucket.item_id == Item.id).correlate(Item).scalar_subquery()
    items = database().execute(select(Item, offers_with).order_by(func.lower(Item.name))).all()
    return render_template(f"inventory/{template}.html", items=items, kinds=KINDS, types=TYPES, **window), status


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.MANAGER)
def new() -> ResponseReturnValue:
    """A further item."""
    form = ItemForm()
    if form.validate_on_submit():
        with form.refusals(BESIDE):
            item = inventory.create_item(database(), **_given(form))
            actions.log(database(), actor(), "create item", f"{_named(item)}: {_sort(item)}")
        if not form.errors:
            done(f"{item.name} is added.")
            return redirect(url_for(".overview"))
    return _list("item", 422 if form.errors else 200, form=form)


@pages.route("/<id:item_id>", methods=["GET", "POST"])
@needs(Role.MANAGER)
def edit(item_id: int) -> ResponseReturnValue:
    """Another name; while nothing uses it, another kind or type too. Its buttons Retire and Bring back save as well."""
    item = _item(item_id)
    form, then = ItemForm(obj=item), request.form.get("then", "")
    if form.is_submitted() and then == "delete":
        return _delete(item, form)
    if form.validate_on_submit():
        edit = Edit(item, "name", "kind", "session_type")
        with form.refusals(BESIDE):
            inventory.edit_item(database(), item, **_given(form))
            edit.log("edit item", _named(item))
            done(f"{item.name} {_turn(item, then)}")
        if not form.errors:
            return redirect(url_for(".overview"))
    return _list("item", 422 if form.errors else 200, form=form, item=item)


def _turn(item: Item, then: str) -> str:
    """Retires the item or brings it back, where that was the button; what became of it, in words."""
    if then == "retire":
        item.retire(datetime.now(UTC))
        actions.log(database(), actor(), "retire item", _named(item))
        return "is retired: it can be added to no further offer."
    if then == "bring-back":
        item.bring_back()
        actions.log(database(), actor(), "bring back item", _named(item))
        return "can be added to offers again."
    return "is saved."


def _delete(item: Item, form: ItemForm) -> ResponseReturnValue:
    """Deletes an item that nothing has used, with whatever was typed."""
    name, subject = item.name, _named(item)
    with form.refusals():
        inventory.delete_item(database(), item)
        actions.log(database(), actor(), "delete item", subject)
    if form.errors:
        return _list("item", 422, form=form, item=item)
    done(f"{name} is deleted.")
    return redirect(url_for(".overview"))


def _item(item_id: int) -> Item:
    item = database().get(Item, item_id, with_for_update=True)
    if item is None:
        raise NotFound(what="item", name=item_id)
    return item


def _given(form: ItemForm) -> dict[str, Any]:
    chosen = form.session_type.data
    return {
        "name": form.text("name"), "kind": ItemKind(form.kind.data),
        "session_type": SessionType(chosen) if chosen else None,
    }  # fmt: skip


def _sort(item: Item) -> str:
    return ", ".join([KINDS[item.kind], *([TYPES[item.session_type]] if item.session_type else [])])


def _named(item: Item) -> str:
    return f"item {item.id}, {item.name}"
