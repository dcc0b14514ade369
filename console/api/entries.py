"""A member's ledger entries: as a list, and as a statement over local days in CSV."""

from datetime import date, datetime

from flask import Response

from console.api import paging
from console.api.fields import TIME, Answer, AsOfQuery, Day, Id, field, id_of, parameter
from console.api.files import download
from console.api.gate import read
from console.api.members import TAG as TAG
from console.api.members import AsOfPageQuery
from console.api.paging import Listing
from console.request import database, utc_now
from models.catalogue import clubs
from models.ledger.kinds import EntryKind
from models.members.memberships import Member as Person
from models.staff.accounts import Role
from models.statements import sheet, statement


class EntriesQuery(AsOfPageQuery):
    """The entries to list."""

    item_id: Id | None = parameter("Those of this item.", 1, default=None)
    grant_id: Id | None = parameter("Those of this credit grant: its own history.", 1, default=None)


class StatementQuery(AsOfQuery):
    """The days and the item of a statement."""

    first_day: Day | None = parameter(
        "The first local day at the member's club; without it, from the beginning.", "2026-03-01", default=None
    )
    last_day: Day | None = parameter("The last local day; without it, until now.", "2026-03-31", default=None)
    item_id: Id | None = parameter("Entries of this item alone.", 1, default=None)
    grant_id: Id | None = parameter("Entries of this credit grant alone.", 1, default=None)


class Entry(Answer):
    """A movement of sessions and its cause."""

    id: int = id_of("ledger entry", validation_alias="entry_id")
    kind: EntryKind = field("The kind of movement.", "redemption")
    grant_id: int = id_of("credit grant that it moves")
    usable_from: date | None = field(
        "The local day on which the tranche of that grant begins; null if it was usable from the payment on.", None
    )
    item: str = field("The item's name.", "Spin")
    quantity: int = field("Sessions given (plus) or taken (minus).", -1)
    balance: int = field(
        "The member's sessions of the item after it and all that happened before, on all grants, also those that are "
        "coming.",
        7,
    )
    grant_balance: int = field("The sessions on its own grant after it.", 7)
    shortfall: int = field("The change of the grant's shortfall.", 0)
    expires_at: datetime | None = field("The first expiry of a new grant, or the new one of an extension.", None)
    occurred_at: datetime = field("When it happened.", TIME)
    recorded_at: datetime = field("When it was recorded.", TIME)
    payment: str | None = field("The payment that caused it.", None)
    endpoint: str | None = field("The endpoint that received that payment.", None)
    event_id: str | None = field("The processor's event that caused it.", None)
    redemption_id: int | None = field("The redemption or return that caused it.", 1)
    actor: str | None = field("The account or token that did it by hand.", "token 1 (Scheduler) of desk@example.com")
    note: str | None = field("The note written with it, or with the redemption.", None)
    class_reference: str | None = field("Of a redemption or return: the class as the scheduler calls it.", None)
    class_name: str | None = field("The class in words.", None)
    trainer: str | None = field("Who taught it.", None)
    club_id: int | None = field("The club where it was, if that was said.", None)
    club: str | None = field("That club's name.", None)


class Entries(Listing[Entry]):
    """A member's ledger entries by when they happened, the newest first."""


@read("/members/<id:member_id>/entries", TAG)
def list_entries(member: Person, query: EntriesQuery) -> Entries:
    """List a member's ledger entries with the cause of each, by when they happened, the newest first.

    What was recorded late stands where it happened: `recorded_at` says when that was.
    """
    before = query.last_seen("entries")
    found = statement.page(
        database(), member.id, limit=query.limit, before=before, as_of=query.as_of, item_id=query.item_id,
        grant_id=query.grant_id,
    )  # fmt: skip
    if before is not None and not found.entries:  # a cursor that we gave has rows behind it
        raise paging.wrong_cursor()
    rows = [Entry.model_validate(one) for one in found.entries]
    return Entries(data=rows, next_cursor=paging.cursor("entries", found.older))


@download(
    "/members/<id:member_id>/statement.csv",
    TAG,
    Role.VIEWER,
    name="download_statement",
    about="A member's ledger entries over local days at the member's club as CSV, in the order in which things "
    f"happened: {', '.join(sheet.HEADINGS)}. Times are those of the club, with their offset.",
)
def download_statement(member: Person, query: StatementQuery) -> Response:
    """Answer with the file."""
    made = sheet.of_member(
        database(), member, first_day=query.first_day, last_day=query.last_day, item_id=query.item_id,
        grant_id=query.grant_id, as_of=query.as_of, house_zone=clubs.house_zone(database()),
    )  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="{sheet.file_name(made, utc_now())}"'}
    return Response(sheet.csv(made), mimetype="text/csv", headers=headers)
