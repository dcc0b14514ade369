"""The inventory: making, changing and deleting the items that offers are made of."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.tables import Item, ItemKind, SessionType
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import ItemInUse, SessionTypeMissing
from models.wording import counted


class Uses(NamedTuple):
    """How often an item is referred to."""

    offers: int
    memberships: int
    grants: int
    adjustments: int

    def __str__(self) -> str:
        nouns = ("offer", "membership", "credit grant", "adjustment")
        return ", ".join(counted(number, noun) for number, noun in zip(self, nouns, strict=True) if number)


_USES = text("""
    SELECT (SELECT count(*) FROM session_buckets WHERE item_id = :item),
           (SELECT count(DISTINCT t.membership_id) FROM membership_terms t JOIN pinned_terms p ON p.terms_id = t.id
            WHERE p.item_id = :item),
           (SELECT count(*) FROM credit_grants WHERE item_id = :item),
           (SELECT count(*) FROM adjustments WHERE item_id = :item)
""")


def create_item(session: Session, *, name: str, kind: ItemKind, session_type: SessionType | None) -> Item:
    """Makes an item; only a scheduler bucket has a session type.

    Raises NameMissing, TextTooLong, NameTaken or SessionTypeMissing.
    """
    item = Item(name=name_given(name), kind=kind.value, session_type=_type_of(kind, session_type))
    with named_once(session, "an item", item.name):
        session.add(item)
    return item


def edit_item(session: Session, item: Item, *, name: str, kind: ItemKind, session_type: SessionType | None) -> None:
    """Changes an item: the name at any time, kind and session type only while nothing uses it.

    Raises NameMissing, TextTooLong, NameTaken, SessionTypeMissing or ItemInUse.
    """
    given, wanted = name_given(name), (kind.value, _type_of(kind, session_type))
    if (item.kind, item.session_type) != wanted:
        session.refresh(item, with_for_update=True)  # nobody begins to use it before this is committed
        if any(used := uses_of(session, item.id)):
            raise ItemInUse(item=item.name, uses=used, advice="its kind and session type stay, make another item")
    with named_once(session, "an item", given):
        item.name, (item.kind, item.session_type) = given, wanted


def delete_item(session: Session, item: Item) -> None:
    """Deletes an item that nothing refers to. Raises ItemInUse."""
    item_id, name = item.id, item.name
    with unless_in_use(
        session, lambda: ItemInUse(item=name, uses=uses_of(session, item_id), advice="retire it instead")
    ):
        session.delete(item)


def uses_of(session: Session, item_id: int) -> Uses:
    """What refers to the item: offers that have it, memberships that picked it, what was given of it."""
    return Uses(*session.execute(_USES, {"item": item_id}).one())


def _type_of(kind: ItemKind, session_type: SessionType | None) -> str | None:
    if kind != ItemKind.SCHEDULER_BUCKET:
        return None
    if session_type is None:
        raise SessionTypeMissing
    return session_type.value
