"""Clubs and items: made, changed and deleted, by the rules of the console's pages."""

from typing import Annotated, Any

from pydantic import Field

from console.api.catalogue import GOOD_AT, GOOD_CLUBS, TAG, Club, Item
from console.api.fields import Body, Change, Currency, Id, Name, Text, field, whole
from console.api.gate import act, change, remove
from console.edits import edited, log, named, set_retired
from console.request import database
from models.catalogue import clubs, items
from models.catalogue.clubs import ShortfallPolicy, UseWhileOverdue
from models.catalogue.items import GoodAt, ItemKind, SessionType
from models.staff.accounts import Role
from runtime.language import Spoken

Zone = Annotated[Text, Field(max_length=64)]


class ClubBody(Body):
    """A new club."""

    name: Name = field("Its name; no other club has it.", "Uptown")
    time_zone: Zone = field("IANA name of the zone by whose midnights sessions expire.", "America/Chicago")
    currency: Currency = field("The currency of the dues, ISO 4217; fixed once members have signed up there.", "USD")
    shortfall_policy: ShortfallPolicy = field(
        "Whether the next grant repays sessions that were used when their payment was reversed, or they are forgiven.",
        "repay",
        default=ShortfallPolicy.REPAY,
    )
    refund_fee_percent: Annotated[int, Field(ge=0, le=clubs.MAX_REFUND_FEE_PERCENT), whole] = field(
        "A refund that leaves no more than this share of the payment, and no more than `refund_fee_most_minor`, counts "
        "as all of it: what is left is a fee that was kept.",
        5,
        default=clubs.REFUND_FEE_PERCENT,
    )
    refund_fee_most_minor: Annotated[int, Field(ge=0, le=clubs.MAX_REFUND_FEE_MINOR), whole] = field(
        "The most that may be left, in minor units: 1000 is $10.00.", 1000, default=clubs.REFUND_FEE_MOST_MINOR
    )
    use_while_frozen: bool = field(
        "Whether sessions can be used while their membership is frozen.", False, default=False
    )
    use_while_overdue: UseWhileOverdue = field(
        "Whether sessions can be used while the dues of their membership are overdue: always, for some days, or with "
        "a reason only.",
        "warn",
        default=UseWhileOverdue.WARN,
    )
    overdue_grace_days: Annotated[int, Field(ge=1, le=clubs.MAX_OVERDUE_GRACE_DAYS), whole] = field(
        "For how many days, for the use `grace`.", 7, default=clubs.OVERDUE_GRACE_DAYS
    )
    apply_announcements: bool = field(
        "Whether ends of memberships that the payment provider announces apply by themselves; pauses never do.",
        False,
        default=False,
    )
    locale: Spoken = field(
        "In which language and formats people of the club see pages; the API is always in US English.",
        "en_US",
        default=Spoken.EN_US,
    )


class ClubChange(ClubBody, Change):
    """The fields of a club to change; the others stay."""


class ItemBody(Body):
    """A new inventory item."""

    name: Name = field("As members and staff see it; no other item has it.", "Yoga")
    kind: ItemKind = field(
        "Only scheduler buckets add sessions. Fixed once the item is in use.",
        "scheduler_bucket",
        default=ItemKind.SCHEDULER_BUCKET,
    )
    session_type: SessionType | None = field(
        "The type of its sessions; required for a scheduler bucket, null for other items. Fixed once it is in use.",
        "class",
        default=None,
    )
    good_at: GoodAt = field(GOOD_AT, "home", default=GoodAt.HOME)
    club_ids: list[Id] = field(GOOD_CLUBS, [], default_factory=list, max_length=1000)


class ItemChange(ItemBody, Change):
    """The fields of an item to change; the others stay."""

    retired: bool = field("Whether it can no longer be added to offers; offers that have it keep it.", False)


@act("/clubs", TAG, "/clubs/{id}", Role.MANAGER)
def create_club(body: ClubBody) -> Club:
    """Make a club."""
    club = clubs.create_club(database(), **dict(body))
    log("create club", f"{named(club)}: {', '.join(str(getattr(club, name)) for name in clubs.FIELDS[1:])}")
    return Club.of(club)


@change("/clubs/<id:club_id>", TAG, Role.MANAGER)
def change_club(club: clubs.Club, body: ClubChange) -> Club:
    """Change a club."""
    fields: Any = body.given
    with edited(club, "edit club", *clubs.FIELDS):
        clubs.edit_club(database(), club, **fields)
    return Club.of(club)


@remove("/clubs/<id:club_id>", TAG, Role.MANAGER)
def delete_club(club: clubs.Club) -> None:
    """Delete a club at which nobody has signed up."""
    log("delete club", named(club))
    clubs.delete_club(database(), club)


@act("/items", TAG, "/items/{id}", Role.MANAGER)
def create_item(body: ItemBody) -> Item:
    """Make an inventory item."""
    item = items.create_item(database(), **dict(body))
    sort = ", ".join(part.replace("_", " ") for part in (item.kind, item.session_type) if part)
    log("create item", f"{named(item)}: {sort}")
    return Item.shown(item)


@change("/items/<id:item_id>", TAG, Role.MANAGER)
def change_item(item: items.Item, body: ItemChange) -> Item:
    """Change an inventory item, retire it or bring it back."""
    now: dict[str, Any] = dict(Item.shown(item))
    del now["id"]
    wanted = now | body.given
    retired = wanted.pop("retired")
    with edited(item, "edit item", *wanted):
        items.edit_item(database(), item, **wanted)
    set_retired(item, retired)
    return Item.shown(item)


@remove("/items/<id:item_id>", TAG, Role.MANAGER)
def delete_item(item: items.Item) -> None:
    """Delete an inventory item that nothing has used."""
    log("delete item", named(item))
    items.delete_item(database(), item)
