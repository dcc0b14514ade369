"""The cells of one row, read as what their columns take; what is wrong is kept with its column, never raised."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from models import spreadsheet
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm, SessionBucket
from models.errors import CellEmpty, NotADay, NotANumber, NotFound, NotMoney, NotYesOrNo, SppError
from models.members.signing_up import chosen_buckets
from models.moving.columns import NO, SEPARATOR, YES
from models.moving.imports import Problem
from models.moving.judged import plain
from models.wording import currency_code, minor_units

Value = TypeVar("Value")
Named = TypeVar("Named", Club, Item, Offer, PaymentTerm)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    rf"{_DAY.pattern}T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?(Z|[+-][0-9]{{2}}:[0-9]{{2}})"
)


class Cells:
    """A row's cells by our columns, and the problems found so far."""

    def __init__(self, values: Mapping[str, str], required: Iterable[str]) -> None:
        self._values, self._required = values, frozenset(required)
        self.problems: list[Problem] = []

    def text(self, key: str) -> str:
        """What stands in the cell, as it was before an export made it harmless; empty if nothing does."""
        text = self._values.get(key, "").strip()
        return spreadsheet.as_written(text) if "'" in text else text

    def take(self, key: str, read: Callable[[str], Value]) -> Value | None:
        """What `read` makes of the cell; None for an empty one, and for one that it refuses."""
        text = self.text(key)
        try:
            if text:
                return read(text)
            if key in self._required:
                raise CellEmpty(column=key.replace("_", " "))
        except SppError as error:
            self._refuse(key, error)
        return None

    @contextmanager
    def judged(self, key: str) -> Iterator[None]:
        """Keep what the block raises as a problem of that column."""
        try:
            yield
        except SppError as error:
            self._refuse(key, error)

    def _refuse(self, key: str, error: SppError) -> None:
        self.problems.append(Problem(key.replace("_", " "), str(error)))


def day(text: str) -> date:
    """A day in ISO 8601. Raises NotADay."""
    try:
        if _DAY.fullmatch(text) and (found := date.fromisoformat(text)).year > 1900:
            return found
    except ValueError:
        pass
    raise NotADay(text=text[:40])


def day_or_moment(text: str) -> date | datetime:
    """A day, or a moment with its offset from UTC. Raises NotADay."""
    if not _MOMENT.fullmatch(text):
        return day(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotADay(text=text[:40]) from None


def number(text: str) -> int:
    """A number of sessions. Raises NotANumber."""
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise NotANumber(text=text[:40])
    return int(text)


def yes_or_no(text: str) -> bool:
    """Raises NotYesOrNo."""
    if text.lower() not in (YES, NO):
        raise NotYesOrNo(text=text[:40])
    return text.lower() == YES


def money(text: str) -> tuple[int, str]:
    """An amount in minor units and its currency, from `1,188.00 USD`. Raises NotMoney."""
    amount, _, code = text.rpartition(" ")
    try:
        currency = currency_code(code)
        return minor_units(amount, currency), currency
    except SppError:
        raise NotMoney(text=text[:40]) from None


def several(text: str) -> list[str]:
    """The values of a cell with several, each once."""
    return list(dict.fromkeys(part for one in text.split(SEPARATOR) if (part := one.strip())))


class Catalogue:
    """Clubs, items and offers by their names, read once for a file."""

    def __init__(self, session: Session, endpoints: Iterable[str]) -> None:
        self.endpoints = frozenset(endpoints)
        self._clubs = _by_name(session.scalars(select(Club)))
        self._items = _by_name(session.scalars(select(Item)))
        parts = (
            selectinload(Offer.buckets).joinedload(SessionBucket.item),
            selectinload(Offer.terms).selectinload(PaymentTerm.bucket_terms),
        )
        self._offers = _by_name(session.scalars(select(Offer).options(*parts)))
        self._chosen: dict[tuple[int, tuple[int, ...]], list[tuple[int, int, int]]] = {}

    def club(self, name: str) -> Club:
        """Raises NotFound, as do the next two."""
        return _named(self._clubs, "club", name)

    def item(self, name: str) -> Item:
        """An item by its name."""
        return _named(self._items, "item", name)

    def offer(self, name: str) -> Offer:
        """An offer by its name."""
        return _named(self._offers, "offer", name)

    def pins(self, term: PaymentTerm, picks: Sequence[Item]) -> list[tuple[int, int, int]]:
        """Item, sessions and days to expire of what these picks mean under the term. Raises as `chosen_buckets`."""
        key = term.id, tuple(sorted(item.id for item in picks))
        if key not in self._chosen:
            given = {entry.session_bucket_id: entry for entry in term.bucket_terms}
            self._chosen[key] = [
                (bucket.item_id, given[bucket.id].quantity, given[bucket.id].days_to_expire)
                for bucket in chosen_buckets(term, picks)
            ]
        return self._chosen[key]


def the_term(offer: Offer, name: str) -> PaymentTerm | None:
    """The payment term of that name; None if the offer has none."""
    return next((term for term in offer.terms if plain(term.name).casefold() == plain(name).casefold()), None)


def _by_name(found: Iterable[Named]) -> dict[str, Named]:
    every = list(found)
    spellings = (lambda name: plain(name).casefold(), plain, str)
    return {spelled(one.name): one for spelled in spellings for one in every}


def _named(known: Mapping[str, Named], what: str, name: str) -> Named:
    found = known.get(name) or known.get(plain(name)) or known.get(plain(name).casefold())
    if found is None:
        raise NotFound(what=what, name=name)
    return found
