"""The inventory: the items that offers are made of. Main verb: `create_item`."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, String, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.catalogue.clubs import Club
from models.database.base import Base, Id, one_of
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import ClubsMissing, ItemInUse, NotFound, SessionTypeMissing, WrongState
from models.wording import counted
from runtime.language import noted, say


class ItemKind(StrEnum):
    """What an inventory item is; only scheduler buckets add sessions."""

    SCHEDULER_BUCKET = "scheduler_bucket"
    OTHER = "other"


class SessionType(StrEnum):
    """What a session item's sessions are good for."""

    CLASS = "class"
    PERSONAL_TRAINING = "personal_training"


class GoodAt(StrEnum):
    """At which clubs sessions can be used."""

    HOME = "home"
    """Where the membership is that they came from."""
    LISTED = "listed"
    ALL = "all"


def good_at(club_ids: Collection[int] | None) -> GoodAt:
    """What a column `club_ids` says: NULL is every club, an empty list is home."""
    return GoodAt.ALL if club_ids is None else GoodAt.LISTED if club_ids else GoodAt.HOME


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
    club_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    """Where its sessions are good, as `good_at` reads it. Each grant keeps what it says when the grant is made."""

    @property
    def good_at(self) -> GoodAt:
        """At which clubs sessions that are given from now on can be used."""
        return good_at(self.club_ids)

    def retire(self, now: datetime) -> None:
        """Keep it off further offers. Raises WrongState."""
        if self.retired_at is not None:
            raise WrongState(what=say("Item {item!r}", item=self.name), state="retired", verb="retired again")
        self.retired_at = now

    def bring_back(self) -> None:
        """Let it be added to offers again. Raises WrongState."""
        if self.retired_at is None:
            raise WrongState(what=say("Item {item!r}", item=self.name), state="not retired", verb="brought back")
        self.retired_at = None


class Uses(NamedTuple):
    """How many rows of each kind refer to an item."""

    offers: int
    memberships: int
    grants: int
    adjustments: int

    def __str__(self) -> str:
        parts = (
            self.offers and counted(self.offers, "offer"),
            self.memberships and counted(self.memberships, "membership"),
            self.grants and counted(self.grants, "credit grant"),
            self.adjustments and counted(self.adjustments, "adjustment"),
        )
        return ", ".join(part for part in parts if part)


_USES = text("""
    SELECT (SELECT count(*) FROM session_buckets WHERE item_id = :item),
           (SELECT count(DISTINCT t.membership_id) FROM membership_terms t JOIN pinned_terms p ON p.terms_id = t.id
            WHERE p.item_id = :item),
           (SELECT count(*) FROM credit_grants WHERE item_id = :item),
           (SELECT count(*) FROM adjustments WHERE item_id = :item)
""")


def create_item(
    session: Session, *, name: str, kind: ItemKind, session_type: SessionType | None, good_at: GoodAt = GoodAt.HOME,
    club_ids: Collection[int] = (),
) -> Item:  # fmt: skip
    """Make an item; only a scheduler bucket has a session type. `club_ids` counts where it is good at listed clubs.

    Raises NameMissing, TextTooLong, NameTaken, SessionTypeMissing, ClubsMissing or NotFound.
    """
    item = Item(name=name_given(name), kind=kind.value, session_type=_type_of(kind, session_type))
    item.club_ids = _clubs_of(session, good_at, club_ids)
    with named_once(session, noted("an item"), item.name):
        session.add(item)
    return item


def edit_item(
    session: Session, item: Item, *, name: str, kind: ItemKind, session_type: SessionType | None,
    good_at: GoodAt | None = None, club_ids: Collection[int] = (),
) -> None:  # fmt: skip
    """Change an item: kind and session type only while nothing uses it, the rest at any time.

    Where it is good counts for grants that are made from now on; with None it stays. Raises what `create_item` raises,
    or ItemInUse.
    """
    given, wanted = name_given(name), (kind.value, _type_of(kind, session_type))
    if good_at:
        item.club_ids = _clubs_of(session, good_at, club_ids)
    if (item.kind, item.session_type) != wanted:
        session.refresh(item, with_for_update=True)  # a lock: nobody begins to use it before this is committed
        if any(used := uses_of(session, item.id)):
            raise ItemInUse(item=item.name, uses=used, advice="its kind and session type stay, make another item")
    with named_once(session, noted("an item"), given):
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


def _clubs_of(session: Session, where: GoodAt, club_ids: Collection[int]) -> list[int] | None:
    """The column `club_ids`. The clubs stay until this is committed."""
    if where != GoodAt.LISTED:
        return None if where == GoodAt.ALL else []
    if not club_ids:
        raise ClubsMissing
    wanted = select(Club.id).where(Club.id.in_(club_ids)).order_by(Club.id)
    known = list(session.scalars(wanted.with_for_update(key_share=True, read=True)))
    if unknown := set(club_ids) - set(known):
        raise NotFound(field="club_ids", what="club", name=min(unknown))
    return known
