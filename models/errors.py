"""Every error that the rules raise. The docstring is the message, filled with what is at hand."""

import inspect
from collections.abc import Mapping
from typing import Any


class SppError(Exception):
    """Something was asked for that the rules refuse.

    The message goes to callers of every role: it may repeat what they sent, but names other people's
    rows by their ids only, never by an e-mail address or a name.
    """

    def __init__(self, **details: Any) -> None:
        self.details = details
        super().__init__(inspect.cleandoc(type(self).__doc__ or "").format(**details))


class DatabaseUnreachable(SppError):
    """The database of DATABASE_URL is not reachable: {reason}"""


class MigrationLockedOut(SppError):
    """The database is as it was: after {tries} tries, others still held a table that the migration has to change.
    `SELECT * FROM pg_stat_activity WHERE state <> 'idle' ORDER BY xact_start` tells who; then `spp migrate` again."""


class SchemaTooOld(SppError):
    """The database is at revision {revision}, which is too old for this version of the code: it migrates from 0012 on.
    Run `spp migrate` of the last version that brings it to 0012 first, then `spp migrate` of this one."""


class RoleNotMade(SppError):
    """The database role {role} could not be made, or its password not be set: {why} Let somebody who may do it run
    `CREATE ROLE {role} LOGIN PASSWORD '...'`, take its password's file away from `spp migrate`, and migrate again."""


class WrongDatabaseUrl(SppError):
    """DATABASE_URL is not the URL of a PostgreSQL database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE."""


# Catalogue


class MaximumBelowMinimum(SppError):
    """Maximum allowed session buckets ({maximum}) cannot be less than minimum required ({minimum})."""


class NegativeNumber(SppError):
    """{what} cannot be negative (it is {value})."""


class NotASessionItem(SppError):
    """{item!r} is not a scheduler bucket: it has no sessions."""


class ItemAlreadyAdded(SppError):
    """{item!r} is already a session bucket of {offer!r}."""


class ListedTwice(SppError):
    """The {what} {name} is in the list twice: name it once."""


class DaysWithoutSessions(SppError):
    """Days to expire is {days} but session quantity is 0: set both to 0 for an item not used under this term."""


class NumberTooLarge(SppError):
    """{what} can be at most {limit} (it is {value})."""


class OfferCannotBeBought(SppError):
    """Nobody could buy {offer!r}: {reason}."""


class TermCannotBeBought(OfferCannotBeBought):
    """Nobody could buy {offer!r} under its payment term {term!r}: {reason}."""


class WrongState(SppError):
    """{what} is {state}, so it cannot be {verb}."""


class NameTaken(SppError):
    """There is already {what} {name!r}: choose another name."""


class ItemRetired(SppError):
    """{item!r} is retired: bring it back before adding it to an offer."""


class SessionTypeMissing(SppError):
    """Say what the sessions are good for: class or personal training."""


class ItemInUse(SppError):
    """{item!r} is in use ({uses}): {advice}."""


class TermInUse(SppError):
    """{term!r} was bought by {memberships}: retire it instead."""


class OfferInUse(SppError):
    """{offer!r} was bought by {memberships}: it can be retired, but not deleted."""


class ClubInUse(SppError):
    """{club!r} has {memberships}, so {consequence}."""


class SessionsRefused(SppError):
    """Nothing was saved. {reasons}"""

    def __init__(self, refused: Mapping[tuple[Any, str], SppError], **details: Any) -> None:
        self.refused = refused
        super().__init__(**details)


class WrongCurrencyCode(SppError):
    """{code!r} is not a currency that dues can be paid in: give its three letters, such as USD."""


class WrongTimeZone(SppError):
    """{name!r} is not a time zone: give its IANA name, such as America/Chicago."""


class NotAnAmount(SppError):
    """{text!r} is not an amount in {currency}: type it like {example}."""


class IntervalTooLong(SppError):
    """Dues can fall due every {limit} {interval}s at most (it is every {count})."""


# Members


class NotFound(SppError):
    """There is no {what} {name!r}."""


class SeveralMemberships(SppError):
    """{email} has several memberships, say which one: {memberships}."""


class InvalidEmail(SppError):
    """{email!r} is not an e-mail address."""


class NameMissing(SppError):
    """A name is required."""


class DateInPast(SppError):
    """{day} is over: choose today or a later day."""


class PicksMissing(SppError):
    """{offer!r} requires {items}: pick it too."""


class TooFewPicks(SppError):
    """{offer!r} asks for at least {minimum} session items; {picked} picked."""


class TooManyPicks(SppError):
    """{offer!r} allows at most {maximum} session items; {picked} picked."""


class PickNotOffered(SppError):
    """{item!r} is not a session item of {offer!r}; it has {offered}."""


class PickGivesNothing(SppError):
    """The payment term {term!r} gives no sessions of {item!r}: leave it out, or choose another payment term."""


class WrongCurrency(SppError):
    """The payment term is in {term_currency}, the club {club!r} in {club_currency}."""


class ReferenceTaken(SppError):
    """{reference!r} on endpoint {endpoint!r} already belongs to membership {membership}. Search for it to see whose."""


# Sessions


class TooFewSessions(SppError):
    """{asked} {item} sessions asked for, {usable} usable: nothing was taken."""


class NothingToReturn(SppError):
    """{asked} sessions cannot be returned: redemption {redemption} has {left} left to return."""


class KeyReused(SppError):
    """Idempotency key {key!r} was used before with other content: use a new key."""


class SentBefore(SppError):
    """This form was sent before, with other content: look at what it did, and send it again if more is meant."""


class NotPositive(SppError):
    """{what} must be 1 or more (it is {value})."""


class ZeroQuantity(SppError):
    """Say how many sessions: plus to give, minus to take."""


class ReasonMissing(SppError):
    """Say why: a note is required."""


class TextTooLong(SppError):
    """{what} can have at most {limit} characters (it has {length}): shorten it."""


class DayTooFar(SppError):
    """{day} is too far away: choose a day up to {limit}, or let the sessions never expire."""


class DayOver(SppError):
    """That day is over: choose one to come."""


class NothingExpired(SppError):
    """Grant {grant} has no expired sessions that could come back: they were used, or taken back."""


class NeverExpires(SppError):
    """Grant {grant} never expires."""


class NotLater(SppError):
    """It can be used until {last_day} already: choose a later day."""


class SamePerson(SppError):
    """You asked for adjustment {adjustment} yourself: a second person has to approve it."""


# Staff


class StaffExists(SppError):
    """There is already a staff account {email!r}."""


class PasswordTooShort(SppError):
    """The password has {length} characters: choose one of at least {minimum}."""


class PasswordIsLoginName(SppError):
    """The password is the login name: choose another one."""


class LastAdmin(SppError):
    """{email} is the last active admin: make somebody else an admin first."""


class WrongLogin(SppError):
    """The e-mail address or the password is wrong."""


class WrongPassword(SppError):
    """That is not your password: type the one that you log in with."""


class TooManyFailures(SppError):
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
