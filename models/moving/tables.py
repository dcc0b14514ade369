"""The tables of imports: a file, its rows until they are written, and their states."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.database.base import Base, Id, Prose, RecordedAt, one_of
from models.moving import columns
from models.moving.columns import Kind
from models.staff.actions import MAX_REASON_LENGTH, Actor
from runtime.language import Texts, say, say_n


class ImportState(StrEnum):
    """How far an import is."""

    UNMAPPED = "unmapped"
    """Not all columns of its file are known: somebody has to say which they are."""
    JUDGING = "judging"
    JUDGED = "judged"
    """Every row has its verdict; nothing is written."""
    WRITING = "writing"
    WRITTEN = "written"
    UNDOING = "undoing"
    UNDONE = "undone"
    DISCARDED = "discarded"
    """Its rows were deleted before anything was written."""
    FAILED = "failed"
    """Given up after the last try; nothing is written."""


WORKING = (ImportState.JUDGING, ImportState.WRITING, ImportState.UNDOING)
"""A worker does something about it."""
BEFORE_WRITING = (ImportState.UNMAPPED, ImportState.JUDGING, ImportState.JUDGED, ImportState.FAILED)


_IS: Texts = {
    ImportState.UNMAPPED: "it is unmapped",
    ImportState.JUDGING: "it is judging",
    ImportState.JUDGED: "it is judged",
    ImportState.WRITING: "it is writing",
    ImportState.WRITTEN: "it is written",
    ImportState.UNDOING: "it is undoing",
    ImportState.UNDONE: "it is undone",
    ImportState.DISCARDED: "it is discarded",
    ImportState.FAILED: "it is failed",
}


class Verdict(StrEnum):
    """What is to become of a row."""

    NEW = "new"
    SAME = "same"
    """It is here already, and the same."""
    CONFLICT = "conflict"
    """It is here already, with something else."""
    REFUSED = "refused"


class Import(Base):
    """A file that was uploaded, and what became of it."""

    __tablename__ = "imports"
    __table_args__ = (
        CheckConstraint(one_of("kind", Kind), "kind"),
        CheckConstraint(one_of("state", ImportState), "state"),
        Index("ix_imports_working", "id", postgresql_where=text("state IN ('judging', 'writing', 'undoing')")),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    file_name: Mapped[str] = mapped_column(Prose(200))
    header: Mapped[list[str]] = mapped_column(JSONB)
    """The names of the columns, as the file has them."""
    mapping: Mapped[dict[str, str]] = mapped_column(JSONB)
    """The chosen meaning of columns: their name -> our name, or "" to leave it out. Kept for the next file."""
    credits_from: Mapped[date | None]
    """The cut-over of rows that say none: the local day from which payments count here."""
    state: Mapped[str]
    rows: Mapped[int]
    done: Mapped[int] = mapped_column(server_default="0")
    """Rows of what is being done now that are done with; shown while the transaction goes on."""
    new_rows: Mapped[int] = mapped_column(server_default="0")
    same_rows: Mapped[int] = mapped_column(server_default="0")
    conflict_rows: Mapped[int] = mapped_column(server_default="0")
    refused_rows: Mapped[int] = mapped_column(server_default="0")
    problem: Mapped[str | None] = mapped_column(Prose(2000))
    """Why it is where it is, where that needs a reason."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    reason: Mapped[str | None] = mapped_column(String(MAX_REASON_LENGTH))
    """Why it is written or undone, until that is done; then the action log has it."""
    asked_by: Mapped[str] = mapped_column(String(200))
    """Who uploaded it, or asked last for something to be done."""
    origin: Mapped[str] = mapped_column(String(64))
    uploaded_at: Mapped[RecordedAt]
    finished_at: Mapped[datetime | None]
    """When it was written, undone, discarded or given up."""
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"), unique=True)
    """The action that wrote it."""
    undone_by: Mapped[int | None] = mapped_column(ForeignKey("actions.id"))

    @property
    def by(self) -> Actor:
        """Who asked for what is being done."""
        return Actor(self.asked_by, self.origin)

    @property
    def is_working(self) -> bool:
        """Whether a worker does something about it."""
        return self.state in WORKING

    @property
    def keys(self) -> list[str | None]:
        """For each column of the file our key; "" where it is left out, None where it is not known."""
        known = columns.mapped(Kind(self.kind), self.header, self.mapping)
        return [known.get(name) for name in self.header]

    @property
    def unknown_columns(self) -> list[str]:
        """Columns of the file that are not mapped yet."""
        return [name for name, key in zip(self.header, self.keys, strict=True) if key is None]

    @property
    def missing_columns(self) -> list[str]:
        """Our required columns that the file does not have, as it is mapped."""
        return columns.lacking(Kind(self.kind), filter(None, self.keys))

    @property
    def why_not_written(self) -> str | None:
        """Why it cannot be written; None if it can."""
        if self.state != ImportState.JUDGED:
            return say(_IS[self.state])
        if wrong := self.refused_rows + self.conflict_rows:
            return say_n("{n} row is refused or in conflict", "{n} rows are refused or in conflict", wrong)
        return None if self.new_rows else say("everything in it is here already")


class ImportRow(Base):
    """One row of a file, until it is written; then only what it made is kept of it."""

    __tablename__ = "import_rows"

    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """As a spreadsheet numbers it: the names of the columns are row 1."""
    cells: Mapped[list[str] | None] = mapped_column(JSONB)
    """As in the file; NULL once the import is written."""
    verdict: Mapped[str | None]
    problems: Mapped[list[dict[str, str]] | None] = mapped_column(JSONB)
    """Why it is refused, or what differs: a column and a message each."""
    parsed: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What is to be written; NULL once it is."""
    address: Mapped[str | None]
    """The e-mail address in lower case; NULL once the import is written, as are the next three."""
    person: Mapped[str | None]
    """The name, without regard to case."""
    payer: Mapped[str | None]
    """The payer's e-mail address in lower case."""
    billing: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    """ENDPOINT:REFERENCE of each billing reference."""
    row_key: Mapped[str | None]
    """With the member, what a row is known by: offer and day of joining, or item and last usable day."""
    shares_address: Mapped[bool | None]
    club: Mapped[str | None]
    what: Mapped[str | None]
    """The offer or the item."""
    sessions: Mapped[int | None]
    made_by: Mapped[int | None]
    """The row that makes the member; NULL where the member was here before."""
    member_id: Mapped[int | None] = mapped_column(BigInteger)
    membership_id: Mapped[int | None] = mapped_column(BigInteger)
    grant_id: Mapped[int | None] = mapped_column(BigInteger)
