"""Files that are imported."""

from models.errors.base import SppError


class UnreadableFile(SppError, field="file"):
    """The file cannot be read: {why}. Nothing was kept of it."""


class EmptyFile(UnreadableFile):
    """The file is empty: its first row has to name the columns."""


class NoRows(UnreadableFile):
    """The file has no rows below the names of its columns."""


class FileTooLarge(UnreadableFile):
    """The file is larger than {limit} MB: divide it."""


class TooManyRows(UnreadableFile):
    """The file has more than {limit} rows: divide it."""


class TooManyColumns(UnreadableFile):
    """The file has {columns} columns, more than the {limit} that can be read. Take out those that are not needed."""


class NotUtf8(UnreadableFile):
    """Row {row} is not UTF-8 text. Save the file as "CSV UTF-8"."""


class LineTooLong(UnreadableFile):
    """Row {row} is longer than {limit} bytes. Is it a CSV file, with a line for each row?"""


class CellTooLong(UnreadableFile):
    """Row {row} has a cell of {length} characters, more than the {limit} that are taken. Shorten it."""


class QuoteNotClosed(UnreadableFile):
    """A quotation mark that is opened in row {row} is never closed. Close it, or take it out."""


class RowOfOtherLength(UnreadableFile):
    """Row {row} has {cells} cells, but the first row names {columns} columns. Is there a comma outside quotation
    marks?"""


class FormulaInCell(UnreadableFile):
    """Row {row} has a formula in it, {begins!r}: save the file with values instead of formulas."""


class NotReadable(UnreadableFile):
    """Row {row} cannot be read: {why}."""


class ColumnTwice(UnreadableFile):
    """Two columns, {columns}, are both read as {name!r}: leave one of them out."""


class NoSuchColumn(SppError, field="mapping"):
    """There is no column {name!r}: choose one of {known}, or none to leave it out."""


class UnknownColumns(SppError, field="mapping"):
    """These columns are not known: {columns}. Say for each which column it is, or that it is left out."""


class ColumnsMissing(SppError, field="mapping"):
    """These columns are missing: {columns}. Each row needs them."""


class CellEmpty(SppError):
    """{column} is empty: it is required."""


class NotADay(SppError):
    """{text!r} is not a day: write it like 2026-01-31."""


class NotANumber(SppError):
    """{text!r} is not a number of sessions: write it like 8."""


class NotYesOrNo(SppError):
    """{text!r} is neither yes nor no."""


class NotMoney(SppError, field="value"):
    """{text!r} is not an amount with its currency: write it like 89.00 USD or 1,188.00 USD."""


class WrongValueCurrency(SppError, field="value"):
    """The value is in {currency}, the member's club {club!r} in {club_currency}."""


class NotJoinedYet(SppError, field="joined"):
    """{day} is to come: a membership that begins later is signed up for here."""


class CutOverMissing(SppError, field="credits_from"):
    """Say from which day on payments count here: in this column, or for the whole file as "Payments count from" (spp
    import --credits-from; credits_from in the API)."""


class TermMissing(SppError, field="term"):
    """{offer!r} has several payment terms, write one of them into "term": {terms}."""


class EndpointMissing(SppError, field="endpoint"):
    """Write the endpoint at which the billing reference {reference!r} is known into "endpoint", or before it, as
    ENDPOINT:{reference}."""


class MoreLeftThanAtFirst(SppError, field="left"):
    """{left} are left, but there were only {of} at first."""


class FrozenWithoutBeginning(SppError, field="frozen_from"):
    """Write the first frozen day into "frozen from", or leave out the last one."""


class AddressOfSeveral(SppError, field="shares_address"):
    """Rows {rows} have one e-mail address and different names. If they are several people who share it, write yes into
    "shares address" of each row but those of its owner."""


class AddressHere(SppError, field="email"):
    """Member {known} ({name}) has this address already. If the row is about another person, write yes into "shares
    address"; if not, write the name as it is here."""


class NameMissingInRow(SppError, field="name"):
    """Several members share {email}: write the name of one into "name": {names}."""


class MembersAlike(SppError, field="email"):
    """Members {members} have this address and this name: merge them, or change the name of one."""


class ReferenceHere(SppError, field="billing_references"):
    """{reference!r} on endpoint {endpoint!r} already belongs to membership {membership}. If one payment pays for both,
    write the e-mail address of that membership's member into "payer"."""


class RowTwice(SppError):
    """Rows {rows} are about the same {what}: only one of them can be written."""


class ReferenceInSeveralRows(SppError, field="billing_references"):
    """Rows {rows} have the same billing reference. If one payment pays for them all, name its payer in "payer" of each
    row but the payer's own."""


class PayerUnknown(SppError, field="payer"):
    """No row, and no member here, has this e-mail address and a billing reference of its own."""


class ImportNotWritable(SppError, status=409):
    """Import {number} cannot be written: {why}. Nothing was changed."""


class ImportUsed(SppError, status=409):
    """Import {number} cannot be undone, since these rows were used or changed since: {rows}. Nothing was changed."""


class UndoneBefore(SppError, status=409):
    """Import {number} cannot be undone yet: its members have what {imports} brought. Undo {imports} first. Nothing was
    changed."""
