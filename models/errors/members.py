"""Members, memberships, their references and test clocks."""

from models.errors.base import SppError


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


class NoneChosen(SppError, field="membership_ids"):
    """No membership is chosen."""


class NotRemovable(SppError, status=409):
    """Membership {membership} cannot be removed: only one that has awaited its first payment for {days} days can."""


class SearchWithFilter(SppError, field="q"):
    """A search takes no filter but overdue: leave the others out, or search by `q` and `email` alone."""
