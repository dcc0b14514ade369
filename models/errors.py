"""Every error that the rules raise: its docstring is the message, filled with the details given when it is raised.

An error names the form field that it belongs to, and the HTTP status that answers it. Its details stay values for
programs; days are put into words in the message alone.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, ClassVar


class SppError(Exception):
    """A request that the rules refuse.

    The message goes to callers of every role. It may repeat what they sent, but it names other people's rows
    by id only, never by an e-mail address or a name; but for `SeveralMembers`, which has to ask who is meant.
    """

    field: str | None = None
    """The field of a form or JSON body that the error belongs to; None for the whole form.

    A form without that field shows the error above the form. Set per class, or where the error is raised.
    """
    status: ClassVar[int] = 422

    def __init_subclass__(cls, *, field: str | None = None, status: int | None = None) -> None:
        """Set both as class arguments, so that an error stays one line and its message."""
        cls.field, cls.status = field or cls.field, status or cls.status

    def __init__(
        self, *, field: str | None = None, words: Mapping[str, str] = MappingProxyType({}), **details: Any
    ) -> None:
        """`words` are parts of the message that are no details."""
        self.field = field or self.field
        self.details = details
        sentence = " ".join((type(self).__doc__ or "").split())
        super().__init__(sentence.format(**{name: _in_words(value) for name, value in details.items()}, **words))


def _in_words(value: Any) -> Any:
    """A day as people write it, such as `Jan 31, 2027`; all else as it is."""
    return f"{value:%b} {value.day}, {value.year}" if type(value) is date else value


class DatabaseUnreachable(SppError, status=503):
    """The database of DATABASE_URL is not reachable: {reason}"""


class MigrationLockedOut(SppError):
    """The database is as it was: after {tries} tries, others still lock a table that the migration has to change.
    `SELECT * FROM pg_stat_activity WHERE state <> 'idle' ORDER BY xact_start` shows them; then `spp migrate` again."""


class SchemaTooOld(SppError):
    """The database is at revision {revision}, which is too old for this version of the code: it migrates from 0012 on.
    Run `spp migrate` of the last version that brings it to 0012 first, then `spp migrate` of this one."""


class RoleNotMade(SppError):
    """The database role {role} could not be created, or its password could not be set: {why} Ask a database
    administrator to run `CREATE ROLE {role} LOGIN PASSWORD '...'`, remove its password file from `spp migrate`, and
    migrate again."""


class WrongDatabaseUrl(SppError):
    """DATABASE_URL is not the URL of a PostgreSQL database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE."""


# Catalogue


class MaximumBelowMinimum(SppError, field="max_buckets"):
    """Maximum allowed session buckets ({maximum}) cannot be less than minimum required ({minimum})."""


class NegativeNumber(SppError):
    """{what} cannot be negative (it is {value})."""


class NotASessionItem(SppError, field="item_id"):
    """{item!r} is not a scheduler bucket: it has no sessions."""


class ItemAlreadyAdded(SppError, field="item_id"):
    """{item!r} is already a session bucket of {offer!r}."""


class ListedTwice(SppError, field="item_id"):
    """The {what} {name} is in the list twice: name it once."""


class DaysWithoutSessions(SppError, field="days_to_expire"):
    """Days to expire is {days} but session quantity is 0: set both to 0 for an item not used under this term."""


class NumberTooLarge(SppError):
    """{what} can be at most {limit} (it is {value})."""


class OfferCannotBeBought(SppError):
    """Nobody could buy {offer!r}: {reason}."""


class TermCannotBeBought(OfferCannotBeBought, field="payment_term_id"):
    """Nobody could buy {offer!r} under its payment term {term!r}: {reason}."""


class WrongState(SppError, field="state"):
    """{what} is {state}, so it cannot be {verb}."""


class CountChanged(SppError, field="expected", status=409):
    """There are {found} now, not the {expected} that you confirmed: look at them again."""


class NameTaken(SppError, field="name", status=409):
    """There is already {what} {name!r}: choose another name."""


class ItemRetired(SppError, field="item_id"):
    """{item!r} is retired: bring it back before adding it to an offer."""


class SessionTypeMissing(SppError, field="session_type"):
    """Say what the sessions are good for: class or personal training."""


class ItemInUse(SppError, field="kind", status=409):
    """{item!r} is in use ({uses}): {advice}."""


class TermInUse(SppError, status=409):
    """{term!r} was bought by {memberships}: retire it instead."""


class OfferInUse(SppError, status=409):
    """{offer!r} was bought by {memberships}: it can be retired, but not deleted."""


class ClubInUse(SppError, field="currency", status=409):
    """{club!r} has {memberships}, so {consequence}."""


class SessionsRefused(SppError):
    """Nothing was saved. {reasons}"""

    def __init__(self, refused: Mapping[tuple[Any, str], SppError], **details: Any) -> None:
        self.refused = refused
        super().__init__(**details)


class WrongCurrencyCode(SppError, field="currency"):
    """{code!r} is not a currency that dues can be paid in: give its three letters, such as USD."""


class WrongTimeZone(SppError, field="time_zone"):
    """{name!r} is not a time zone: give its IANA name, such as America/Chicago."""


class NotAnAmount(SppError, field="dues_minor"):
    """{text!r} is not an amount in {currency}: type it like {example}."""


class IntervalTooLong(SppError, field="interval_count"):
    """Dues can fall due every {limit} {interval}s at most (it is every {count})."""


class PaymentLinkUnusable(SppError, field="payment_link"):
    """A payment link is an address that begins with https://, without blanks, of at most {limit} characters."""


class NotReleased(SppError, field="release"):
    """Sessions are released {how} only of {needs}, and these fall due {every}: choose another release or interval."""


class ReleaseTimesMissing(SppError, field="release_times"):
    """Say how many times sessions are released for each payment: 2 to {most} (it is {value})."""


class OnEndDaysMissing(SppError, field="on_end_days"):
    """Say for how many days after the end sessions can be used: 1 to {most} (it is {value})."""


class DaysBackwards(SppError, field="last_day"):
    """The last day, {last}, is before the first, {first}. Choose a last day that is not."""


class YearWrong(SppError):
    """{day} is more than {years} years from today. Check the year."""


class TooLong(SppError, field="last_day"):
    """{what} from {first} to {last} is longer than {limit}. Check the year; record a longer one in parts."""


class LastDayMissing(SppError, field="last_day"):
    """Say the last day: only a freeze can go on until further notice."""


class EndsTooEarly(SppError, field="last_day"):
    """The membership began on {first}, so its last day cannot be {last}. Check the day and the year."""


class AlreadyEnded(SppError, field="last_day", status=409):
    """The membership has an end already: its last day is {day}. Reopen it first, or change that day."""


class AnnouncementOver(SppError, status=409):
    """This announcement is not open any more: somebody answered it, the membership says so by now, or the payment
    provider has said something else since. Look again."""


class NotChanged(SppError):
    """That is how it is already. Nothing was changed."""


# Members


class NotFound(SppError, status=404):
    """There is no {what} {name!r}."""


class SeveralMemberships(SppError, field="membership_id"):
    """{email} has several memberships, say which one: {memberships}."""


class SeveralMembers(SppError, field="email"):
    """Several members share {email}, say which one by the id: {members}."""


class AddressKnown(SppError, field="email", status=409):
    """Member {known} has this address already. If it is another person with the same address, say so."""


class InvalidEmail(SppError, field="email"):
    """{email!r} is not an e-mail address."""


class NameMissing(SppError, field="name"):
    """A name is required."""


class DateInPast(SppError, field="since"):
    """{day} is over: choose today or a later day."""


class DayToCome(SppError):
    """{day} is still to come: choose today or an earlier day."""


class PicksMissing(SppError, field="item_ids"):
    """{offer!r} requires {items}: pick it too."""


class NoSuchSample(SppError, status=404):
    """There is no sample {name!r} of {processor}: there are {known}."""


class TooFewPicks(SppError, field="item_ids"):
    """{offer!r} asks for at least {minimum} session items; {picked} picked."""


class TooManyPicks(SppError, field="item_ids"):
    """{offer!r} allows at most {maximum} session items; {picked} picked."""


class PickNotOffered(SppError, field="item_ids"):
    """{item!r} is not a session item of {offer!r}; it has {offered}."""


class PickGivesNothing(SppError, field="item_ids"):
    """The payment term {term!r} gives no sessions of {item!r}: leave it out, or choose another payment term."""


class PreviewChanged(SppError, status=409):
    """This is not what the preview said: read it again, then press the button once more."""


class TermsChanged(SppError, field="payment_term_id", status=409):
    """The terms have changed meanwhile: look again."""


class WrongCurrency(SppError, field="payment_term_id"):
    """The payment term is in {term_currency}, the club {club!r} in {club_currency}."""


class SameClub(SppError, field="club_id"):
    """Membership {membership} is at {club!r} already: choose another club."""


class SameMembership(SppError, field="to_membership_id"):
    """Membership {membership} has the reference already: choose another one, or remove it."""


class ReferenceUnusable(SppError, field="reference"):
    """No processor makes such a reference: {why}. It is 1 to 255 ASCII characters without blanks: copy it again."""


class CheckoutNotMade(SppError, field="endpoint"):
    """No page for the first payment was made at {endpoint!r}: {why}."""


class ReferenceTaken(SppError, field="reference", status=409):
    """{reference!r} on endpoint {endpoint!r} already belongs to membership {membership}. Search for it to see whose, or
    share it: later payments are then divided equally."""


# Sessions


class TooFewSessions(SppError, field="quantity"):
    """{sessions} asked for, {usable} usable{then}: nothing was taken."""

    why_not: Mapping[str, Any] | None = None
    """Why no session can be used: the fields of a WhyNot."""

    def explain(self, why_not: Mapping[str, Any]) -> None:
        """Say why, and the way out, after what was refused."""
        self.why_not = why_not
        self.args = (f"{self} {why_not['sentence']} {why_not['way_out']}",)


class InFuture(SppError, field="occurred_at"):
    """That is in the future: say when the sessions were used, or leave it out if it is now."""


class TooFarBack(SppError, field="occurred_at"):
    """You can date it back by {limit} at most{further}. What was before that needs an adjustment."""


class MembershipFrozen(SppError, status=409):
    """The {item} sessions are frozen until {last}: nothing was taken. End the freeze today, and they can be used from
    tomorrow on."""


class BringsBack(SppError, field="expected"):
    """{sessions} sessions that have expired could be used again, more than the {limit} that one person may give alone.
    Nothing was changed. Look at a preview; if it is right, say that you expect {sessions}."""


class OverdueSessions(SppError, field="override_reason"):
    """{sessions} asked for, {usable} usable and {withheld} withheld: dues are overdue since {since}.
    Nothing was taken. Say why they can be used all the same, or have the dues paid."""


class NothingOverdue(SppError):
    """No dues of membership {membership} are overdue: there is nothing to clear."""


class NothingToReturn(SppError, field="quantity"):
    """{sessions} cannot be returned: redemption {redemption} has {left} left to return."""


class KeyReused(SppError, status=409):
    """Idempotency key {key!r} was used before with other content: use a new key."""


class SentBefore(SppError, status=409):
    """This form was sent before, with other content: check what it did, and send it again if you want both."""


class NotPositive(SppError, field="quantity"):
    """{what} must be 1 or more (it is {value})."""


class ZeroQuantity(SppError, field="quantity"):
    """Say how many sessions: plus to give, minus to take."""


class ReasonMissing(SppError, field="reason"):
    """Say why: a note is required."""


class TextTooLong(SppError):
    """{what} can have at most {limit} characters (it has {length}): shorten it."""


class DayTooFar(SppError, field="last_day"):
    """{day} is too far away: choose a day up to {limit}, or let the sessions never expire."""


class DayOver(SppError, field="last_day"):
    """That day is over: choose a later one."""


class NothingExpired(SppError, field="last_day"):
    """Grant {grant} has no expired sessions that could come back: they were used, or taken back."""


class NeverExpires(SppError, field="last_day"):
    """Grant {grant} never expires."""


class NotLater(SppError, field="last_day"):
    """It can be used until {last_day} already: choose a later day."""


class NotYours(SppError, status=403):
    """Somebody else asked for adjustment {adjustment}: only they or a manager can decline it."""


class MemberErased(SppError):
    """Member {number} was erased on {day}: nothing can be done for them any more."""


class NotATestMember(SppError, status=409):
    """Member {number} is no test member: only a test member's clock can be set forward."""


class ClockNotLater(SppError, field="day"):
    """Its clock shows {day}: choose a later day."""


class TooFarAhead(SppError, field="day"):
    """A clock can be {most} days ahead at most: choose an earlier day."""


class LiveEndpoint(SppError, field="endpoint"):
    """{endpoint} is a live endpoint, and this is a test member: only test endpoints pay for it."""


class PaidLive(SppError, status=409):
    """{endpoint}, which is no test endpoint, has paid for this member or may: sign a new one up for tests."""


class MergedForTest(SppError, field="from_member_id"):
    """Member {number} is a test member: it cannot be merged with another one."""


class MergedWithItself(SppError, field="from_member_id"):
    """That is the same member: choose another one."""


class MergedAlready(SppError, status=409):
    """Member {number} was merged into member {into} already."""


class NotUndoable(SppError, status=409):
    """The merge of member {number} cannot be undone: {why}."""


class NotConfirmed(SppError, field="confirm"):
    """Type the member's e-mail address exactly as it stands here, to confirm that this person is meant."""


class SamePerson(SppError):
    """You asked for adjustment {adjustment} yourself: a second person has to approve it."""


# Staff


class StaffExists(SppError, field="email", status=409):
    """There is already a staff account {email!r}."""


class PasswordTooShort(SppError, field="password"):
    """The password has {length} characters: choose one of at least {minimum}."""


class PasswordIsLoginName(SppError, field="password"):
    """The password is the login name: choose another one."""


class LastAdmin(SppError, field="role"):
    """{email} is the last active admin: make somebody else an admin first."""


class WrongLogin(SppError, status=401):
    """The e-mail address or the password is wrong."""


class WrongPassword(SppError, field="current"):
    """That is not your password: type the one that you log in with."""


class TooManyFailures(SppError, status=429):
    """Too many failed logins: try again in {minutes} min."""


# Operations


class AlreadyPaused(SppError):
    """{endpoint} is paused already."""


class NotPaused(SppError):
    """{endpoint} is not paused."""


class NotRepairable(SppError):
    """Event {ids} cannot be {verb}: {why}. Nothing was changed."""


class NothingMatches(SppError):
    """No event matches, so there is nothing to {verb}."""


class OnlyTroubledDiscarded(SppError):
    """Only dead and quarantined events can be discarded: ask for one of these states."""


# Moving in


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
    """Say from which day on payments count here: in this column, or for the whole file."""


class TermMissing(SppError, field="term"):
    """{offer!r} has several payment terms, say which one: {terms}."""


class EndpointMissing(SppError, field="endpoint"):
    """Say at which endpoint the billing reference {reference!r} is known."""


class MoreLeftThanAtFirst(SppError, field="left"):
    """{left} are left, but there were only {of} at first."""


class FrozenWithoutBeginning(SppError, field="frozen_from"):
    """Say from which day on it is frozen, or leave out the last frozen day."""


class AddressOfSeveral(SppError, field="shares_address"):
    """Rows {rows} have one e-mail address and different names. If they are several people who share it, write yes into
    "shares address" of each row but those of its owner."""


class RowTwice(SppError):
    """Rows {rows} are about the same {what}: only one of them can be written."""


class ReferenceInSeveralRows(SppError, field="billing_references"):
    """Rows {rows} have the same billing reference. If one payment pays for them all, name its payer in "payer" of each
    row but the payer's own."""


class PayerUnknown(SppError, field="payer"):
    """No row, and no member here, has this e-mail address and a billing reference."""


class ImportNotWritable(SppError, status=409):
    """Import {number} cannot be written: {why}. Nothing was changed."""


class ImportUsed(SppError, status=409):
    """Import {number} cannot be undone, since these rows were used or changed since: {rows}. Nothing was changed."""
