"""The inventory: the items that offers are made of. Main verb: `create_item`."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import CheckConstraint, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Id, one_of
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import ItemInUse, SessionTypeMissing, WrongState
from models.wording import counted


class ItemKind(StrEnum):
    """What an inventory item is; only scheduler buckets add sessions."""

    SCHEDULER_BUCKET = "scheduler_bucket"
    OTHER = "other"


class SessionType(StrEnum):
    """What a session item's sessions are good for."""

    CLASS = "class"
    PERSONAL_TRAINING = "personal_training"


class Item(Base):
    """An inventory item; a session item is one of kind scheduler bucket."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("id", "kind"),
        CheckConstraint(one_of("kind", ItemKind), "kind"),
        CheckConstraint(one_of("session_type", SessionType), "session_type"),
        CheckConstraint(
            "(kind = 'scheduler_bucket') = (session_type IS NOT NULL)", "session_type_of_scheduler_buckets"
        ),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str]
    session_type: Mapped[str | None]
    retired_at: Mapped[datetime | None]
    """Since when it can be added to no further offer; where it is, it stays."""

    def retire(self, now: datetime) -> None:
        """Keep it off further offers. Raises WrongState."""
        if self.retired_at is not None:
            raise WrongState(what=f"Item {self.name!r}", state="retired", verb="retired again")
        self.retired_at = now

    def bring_back(self) -> None:
        """Let it be added to offers again. Raises WrongState."""
        if self.retired_at is None:
            raise WrongState(what=f"Item {self.name!r}", state="not retired", verb="brought back")
        self.retired_at = None


class Uses(NamedTuple):
    """How many rows of each kind refer to an item."""

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
    """Make an item; only a scheduler bucket has a session type.

    Raises NameMissing, TextTooLong, NameTaken or SessionTypeMissing.
    """
    item = Item(name=name_given(name), kind=kind.value, session_type=_type_of(kind, session_type))
    with named_once(session, "an item", item.name):
        session.add(item)
    return item


def edit_item(session: Session, item: Item, *, name: str, kind: ItemKind, session_type: SessionType | None) -> None:
    """Change an item: the name at any time, kind and session type only while nothing uses it.

    Raises NameMissing, TextTooLong, NameTaken, SessionTypeMissing or ItemInUse.
    """
    given, wanted = name_given(name), (kind.value, _type_of(kind, session_type))
    if (item.kind, item.session_type) != wanted:
        session.refresh(item, with_for_update=True)  # a lock: nobody begins to use it before this is committed
        if any(used := uses_of(session, item.id)):
            raise ItemInUse(item=item.name, uses=used, advice="its kind and session type stay, make another item")
    with named_once(session, "an item", given):
        item.name, (item.kind, item.session_type) = given, wanted


def delete_item(session: Session, item: Item) -> None:
    """Delete an item that nothing refers to. Raises ItemInUse."""
    item_id, name = item.id, item.name
    with unless_in_use(
        session, lambda: ItemInUse(item=name, uses=uses_of(session, item_id), advice="retire it instead")
    ):
        session.delete(item)


def uses_of(session: Session, item_id: int) -> Uses:
    """Count the offers that have the item, the memberships that picked it, and what was given of it."""
    return Uses(*session.execute(_USES, {"item": item_id}).one())


def _type_of(kind: ItemKind, session_type: SessionType | None) -> str | None:
    if kind != ItemKind.SCHEDULER_BUCKET:
        return None
    if session_type is None:
        raise SessionTypeMissing
    return session_type.value
