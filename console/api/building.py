"""Clubs and items: made, changed and deleted, by the rules that the console's pages go by."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from console.api.catalogue import TAG, Club, ClubPath, Item, ItemPath, item_shown
from console.api.fields import Body, Change, Currency, Name, Text, changed, field
from console.api.gate import PREFIX, Made, act, change, remove
from console.api.problems import Fields, beside
from console.edits import Edit
from console.request import actor, database
from console.rows import row
from models.catalogue import clubs, items, tables
from models.catalogue.tables import ItemKind, SessionType, ShortfallPolicy
from models.errors import (
    ClubInUse,
    ItemInUse,
    NameMissing,
    NameTaken,
    SessionTypeMissing,
    WrongCurrencyCode,
    WrongTimeZone,
)
from models.staff import actions
from models.staff.accounts import Role

Zone = Annotated[Text, Field(max_length=64)]

_CLUB: Fields = {
    NameMissing: "name", NameTaken: "name", WrongTimeZone: "time_zone", WrongCurrencyCode: "currency",
    ClubInUse: "currency",
}  # fmt: skip
_ITEM: Fields = {NameMissing: "name", NameTaken: "name", ItemInUse: "kind", SessionTypeMissing: "session_type"}


class ClubBody(Body):
    """A further gym."""

    name: Name = field("Its name; no other club has it.", "Uptown")
    time_zone: Zone = field("IANA name of the zone by whose midnights sessions expire.", "America/Chicago")
    currency: Currency = field("What dues are paid in, ISO 4217.", "USD")
    shortfall_policy: ShortfallPolicy = field(
        "Whether the next grant repays sessions that were used when their payment was reversed, or they are forgiven.",
        "repay", default=ShortfallPolicy.REPAY,
    )  # fmt: skip


class ClubChange(Change):
    """What to change of a club; the rest stays."""

    name: Name = changed("Its name.", "Uptown")
    time_zone: Zone = changed("IANA name.", "America/Chicago")
    currency: Currency = changed("ISO 4217; it cannot change once members have signed up there.", "USD")
    shortfall_policy: ShortfallPolicy = changed("What becomes of a shortfall.", "repay")


class ItemBody(Body):
    """A further inventory item."""

    name: Name = field("As members and staff see it; no other item has it.", "Yoga")
    kind: ItemKind = field(
        "Only scheduler buckets add sessions.", "scheduler_bucket", default=ItemKind.SCHEDULER_BUCKET
    )
    session_type: SessionType | None = field(
        "What its sessions are good for; required for a scheduler bucket, and null for other items.", "class",
        default=None,
    )  # fmt: skip


class ItemChange(Change):
    """What to change of an item; the rest stays. Kind and session type stay once the item is in use."""

    name: Name = changed("Its name.", "Yoga")
    kind: ItemKind = changed("What it is.", "scheduler_bucket")
    session_type: SessionType | None = changed("What its sessions are good for.", "class")
    retired: bool = changed("Whether it can no longer be added to offers; where it is, it stays.", False)


@act("/clubs", Club, TAG, Role.MANAGER)
def create_club(body: ClubBody) -> Made:
    """Make a club."""
    with beside(_CLUB):
        club = clubs.create_club(database(), **dict(body))
    made = f"{club.time_zone}, {club.currency}, {club.shortfall_policy}"
    actions.log(database(), actor(), "create club", f"club {club.id}, {club.name}: {made}")
    return Made(Club.model_validate(club), f"{PREFIX}/clubs/{club.id}")


@change("/clubs/<id:club_id>", Club, TAG, Role.MANAGER)
def change_club(path: ClubPath, body: ClubChange) -> Club:
    """Change a club."""
    club = row(tables.Club, "club", path.club_id, lock=True)
    edit = Edit(club, "name", "time_zone", "currency", "shortfall_policy")
    wanted: dict[str, Any] = {**edit.before, "shortfall_policy": ShortfallPolicy(club.shortfall_policy), **body.given}
    with beside(_CLUB):
        clubs.edit_club(database(), club, **wanted)
    edit.log("edit club", f"club {club.id}, {club.name}")
    return Club.model_validate(club)


@remove("/clubs/<id:club_id>", TAG, Role.MANAGER)
def delete_club(path: ClubPath) -> None:
    """Delete a club at which nobody has signed up."""
    club = row(tables.Club, "club", path.club_id, lock=True)
    actions.log(database(), actor(), "delete club", f"club {club.id}, {club.name}")
    clubs.delete_club(database(), club)


@act("/items", Item, TAG, Role.MANAGER)
def create_item(body: ItemBody) -> Made:
    """Make an inventory item."""
    with beside(_ITEM):
        item = items.create_item(database(), **dict(body))
    actions.log(database(), actor(), "create item", f"{_named(item)}: {_sort([item.kind, item.session_type])}")
    return Made(item_shown(item), f"{PREFIX}/items/{item.id}")


@change("/items/<id:item_id>", Item, TAG, Role.MANAGER)
def change_item(path: ItemPath, body: ItemChange) -> Item:
    """Change an inventory item, retire it or bring it back."""
    item, given = row(tables.Item, "item", path.item_id, lock=True), body.given
    retired = given.pop("retired", item.retired_at is not None)
    edit = Edit(item, "name", "kind", "session_type")
    kept = SessionType(item.session_type) if item.session_type else None
    wanted: dict[str, Any] = {"name": item.name, "kind": ItemKind(item.kind), "session_type": kept, **given}
    with beside(_ITEM):
        items.edit_item(database(), item, **wanted)
    edit.log("edit item", _named(item))
    if retired != (item.retired_at is not None):
        item.retire(datetime.now(UTC)) if retired else item.bring_back()
        actions.log(database(), actor(), "retire item" if retired else "bring back item", _named(item))
    return item_shown(item)


@remove("/items/<id:item_id>", TAG, Role.MANAGER)
def delete_item(path: ItemPath) -> None:
    """Delete an inventory item that nothing has used."""
    item = row(tables.Item, "item", path.item_id, lock=True)
    actions.log(database(), actor(), "delete item", _named(item))
    items.delete_item(database(), item)


def _named(item: tables.Item) -> str:
    return f"item {item.id}, {item.name}"


def _sort(parts: Sequence[str | None]) -> str:
    return ", ".join(part.replace("_", " ") for part in parts if part)
