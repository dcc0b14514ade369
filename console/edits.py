"""Edits of rows for the action log: what was done to which row, and what it changed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from console.request import actor, database
from console.rows import noun
from models.catalogue import on_sale
from models.catalogue.items import Item
from models.catalogue.tables import PaymentTerm
from models.staff import actions
from models.wording import lasting
from runtime.language import in_english


class Edit:
    """An edit of a row: its values before, to compare with those afterwards."""

    def __init__(self, row: Any, *names: str) -> None:
        self.row = row
        self.before = {name: getattr(row, name) for name in names}

    def log(self, verb: str, subject: str) -> bool:
        """Log the columns that changed with their old and new values; whether there were any."""
        return log_changes(verb, subject, self.before, {name: getattr(self.row, name) for name in self.before})


def log_changes(verb: str, subject: str, before: Mapping[str, object], after: Mapping[str, object]) -> bool:
    """Log what differs, as `dues_minor 8900 -> 9900`; whether anything did."""
    changed = [f"{name} {old} -> {after[name]}" for name, old in before.items() if old != after[name]]
    if changed:
        log(verb, f"{subject}: {', '.join(changed)}")
    return bool(changed)


def log(verb: str, subject: str) -> None:
    """Log an act of the request's actor."""
    actions.log(database(), actor(), verb, subject)


@contextmanager
def edited(row: Any, verb: str, *names: str) -> Iterator[None]:
    """Log what the block changes in these columns of the row."""
    edit = Edit(row, *names)
    yield
    edit.log(verb, named(row))


def set_retired(row: Item | PaymentTerm, retired: bool) -> None:
    """Retire a row or bring it back, where that is a change, and log it."""
    if retired != (row.retired_at is not None):
        row.retire(datetime.now(UTC)) if retired else row.bring_back()
        log(f"{'retire' if retired else 'bring back'} {noun(type(row))}", named(row))


@in_english
def sessions_of(term: PaymentTerm) -> dict[str, str]:
    """The sessions that a payment term gives of each session item of its offer, for the action log."""
    return {
        given.item: f"{given.quantity} ({lasting(given.days_to_expire)})" if given.quantity else "0"
        for given in on_sale.given(term).values()
    }


def named(row: Any) -> str:
    """A row of the catalogue in the action log: `item 3, Spin`, or `payment term 1, Monthly, of offer 2, Gold`."""
    of = f", of {named(row.offer)}" if isinstance(row, PaymentTerm) else ""
    return f"{noun(type(row))} {row.id}, {row.name}{of}"
