"""PURE: the columns of the two files that can be imported; templates, messages and the guide follow from them."""

import csv
from collections.abc import Iterable, Mapping
from enum import StrEnum
from io import StringIO
from typing import NamedTuple
from unicodedata import normalize

SEPARATOR = "|"
"""Between several values of one cell."""
NEVER = "never"
YES, NO = "yes", "no"


class Kind(StrEnum):
    """What a file is about."""

    PEOPLE = "people"
    """People with their memberships, a row per membership."""
    BALANCES = "balances"
    """Sessions that members bring along, a row per member, item, last usable day and, if it is to come, first one."""

    @property
    def noun(self) -> str:
        """What its rows are, in words."""
        return "people and memberships" if self == Kind.PEOPLE else "opening balances"


class Column(NamedTuple):
    """One column: its key in the code, what it takes, in words, and an example."""

    key: str
    required: bool
    takes: str
    example: str

    @property
    def name(self) -> str:
        """Its name in the first row of a file."""
        return self.key.replace("_", " ")


PEOPLE = (
    Column("email", True, "The member's e-mail address.", "ann@example.com"),
    Column("name", True, "The member's name.", "Ann Archer"),
    Column("shares_address", False, "`yes` if this is another person than others with the same e-mail address, such"
           " as a child with its mother's. Empty or `no`: an address belongs to one person.", NO),
    Column("club", True, "The club's name, as it stands here.", "Riverside"),
    Column("offer", True, "The name of the member's offer. It may be retired here, but not a draft.", "Gold"),
    Column("term", False, "The name of the payment term. Empty: the offer's only one.", "Monthly"),
    Column("picks", False, "The items that the member has chosen, with `|` between several. Empty: what the"
           " offer includes without choosing.", "Spin | Yoga"),
    Column("joined", True, "The local day on which the membership began; its terms are pinned from then.",
           "2024-03-01"),
    Column("endpoint", False, "The endpoint at which the billing references are known. Needed with a reference.",
           "stripe"),
    Column("billing_references", False, "The payment provider's ids by which payments find this membership, such as a"
           " subscription, with `|` between several. `ENDPOINT:REFERENCE` for one of another endpoint.",
           "sub_1Nv0"),
    Column("payer", False, "The e-mail address of the member whose payments also pay for this membership. They are then"
           " divided equally. Without billing references, this membership gets those of the payer.", ""),
    Column("credits_from", False, "The cut-over: payments from this local day on count here, earlier ones were counted"
           " in the earlier system. Or a moment, such as 2026-12-01T06:00:00Z. Empty: the day given with the file.",
           "2026-12-01"),
    Column("frozen_from", False, "The first frozen local day, where the membership is or will be frozen.", ""),
    Column("frozen_to", False, "The last frozen local day. Empty with `frozen from`: until further notice.", ""),
    Column("ends", False, "The last local day of a membership that has ended or will end.", ""),
)  # fmt: skip

BALANCES = (
    Column("email", True, "The e-mail address of a member who is here already: import people first.",
           "ann@example.com"),
    Column("name", False, "The member's name. Needed where several share the address.", "Ann Archer"),
    Column("item", True, "The name of the session item, as it stands here.", "Spin"),
    Column("left", True, "How many sessions the member has left.", "3"),
    Column("of", False, "How many there were at first. Empty: as many as are left.", "10"),
    Column("last_day", True, "The last local day, at the member's club, on which they can be used; or"
           " `never`, for sessions that do not expire.", "2026-12-31"),
    Column("usable_from", False, "The local day from which they can be used, where that is to come: a later part of"
           " what dues have paid for. Empty: at once.", ""),
    Column("value", False, "What all of them cost, with the currency.", "120.00 USD"),
    Column("note", False, "What staff should know about them. It is kept with the sessions for good.",
           "10-class pass of March"),
)  # fmt: skip

COLUMNS: Mapping[Kind, tuple[Column, ...]] = {Kind.PEOPLE: PEOPLE, Kind.BALANCES: BALANCES}


def template(kind: Kind) -> str:
    """A file to begin with: the names of all columns, and a row of examples."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(column.name for column in COLUMNS[kind])
    writer.writerow(column.example for column in COLUMNS[kind])
    return text.getvalue()


def plain(name: str) -> str:
    """A column's name in one spelling: `Frozen From` and `frozen_from` are the same, however accents are encoded."""
    return " ".join(normalize("NFKC", name).replace("_", " ").split()).casefold()


def mapped(kind: Kind, header: Iterable[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """By each name in the header that is known, our key: as mapped, or else as it is written; "" is left out.

    What is missing from the result is not known.
    """
    ours = {plain(column.key): column.key for column in COLUMNS[kind]}
    chosen = {plain(theirs): ours.get(plain(to), "") for theirs, to in mapping.items()}
    known = {name: chosen.get(plain(name), ours.get(plain(name))) for name in header}
    return {name: key for name, key in known.items() if key is not None}


def lacking(kind: Kind, keys: Iterable[str]) -> list[str]:
    """The names of the required columns that are not among these keys."""
    given = set(keys)
    return [column.name for column in COLUMNS[kind] if column.required and column.key not in given]
