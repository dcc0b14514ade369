"""Announcements: what the payment provider says of subscriptions, and how staff answer it."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import date, datetime

from flask import current_app
from flask_openapi3 import Tag

from console import announcing
from console.api.fields import TIME, Answer, Body, Id, Why, field, id_of, parameter
from console.api.gate import act, read
from console.api.paging import Listing, PageQuery, wrong_cursor
from console.bounds import club_ids
from console.request import actor, database, late_credit, utc_now
from models.payments import announcements
from models.payments.announcements import Announcement as Open
from models.payments.proposals import Does
from models.staff.accounts import Role

TAG = Tag(
    name="Announcements",
    description="What the payment provider says of subscriptions, and memberships do not say yet.",
)

Place = tuple[datetime, int, int]


class AnnouncementsQuery(PageQuery):
    """The announcements to list."""

    membership_id: Id | None = parameter("Only those for this membership.", 1, default=None)

    def after(self) -> Place | None:
        """The place in the cursor. Raises InvalidRequest for another list's cursor."""
        if self.cursor is None:
            return None
        try:
            kind, at, fact_id, membership_id = urlsafe_b64decode(self.cursor + "==").decode("ascii").split(" ")
            place = datetime.fromisoformat(at), int(fact_id), int(membership_id)
        except ValueError:
            raise wrong_cursor() from None
        if kind != "announcements" or place[0].tzinfo is None:
            raise wrong_cursor()
        return place


class Announcement(Answer):
    """Something that the payment provider said of a subscription, and that one of its memberships does not say yet."""

    id: int = id_of("announcement; another membership with the same subscription may have the same")
    membership_id: int = id_of("membership")
    member_id: int = id_of("member")
    endpoint: str = field("The endpoint that heard it.", "stripe")
    reference: str = field("The subscription or mandate.", "sub_8Hx2")
    said_at: datetime = field("When it was said, by the processor's clock.", TIME)
    what: str = field("What was said.", "Stripe says that this subscription ends on Jan 31, 2027")
    does: Does = field("What an application does to the membership.", "end")
    first_day: date | None = field("The first local day of a freeze.", None)
    last_day: date | None = field("The last local day: of the membership, or of a freeze.", "2027-01-31")


class Announcements(Listing[Announcement]):
    """Open announcements, the latest first."""


class AnswerBody(Body):
    """For which membership an announcement is answered."""

    membership_id: Id = id_of("membership")
    does: Does | None = field(
        "What it is expected to do; if it would do something else by now, nothing changes.", "end", default=None
    )
    reason: Why | None = field("Why; kept in the action log. Without it, what was said.", None, default=None)


class Application(Answer):
    """An announcement that was applied."""

    announcement_id: int = id_of("announcement")
    membership_id: int = id_of("membership")
    does: Does = field("What was done.", "end")
    what: str = field("The same in words.", "The membership ends on Jan 31, 2027")
    moved: list[str] = field(
        "What became of each grant that it moved.",
        ["8 Spin sessions: usable until Jan 31, 2027 instead of Feb 9, 2027"],
    )


class Dismissal(Answer):
    """An announcement that was dismissed: the membership stays as it is."""

    announcement_id: int = id_of("announcement")
    membership_id: int = id_of("membership")


@read("/announcements", TAG)
def list_announcements(query: AnnouncementsQuery) -> Announcements:
    """List what the payment provider said of subscriptions, and memberships do not say yet.

    Nothing of it counts until somebody applies it; a club can let ends apply by themselves.
    """
    processors, wanted, after = _processors(), query.membership_id, query.after()
    every = (
        announcements.of_memberships(database(), [wanted], processors)
        if wanted
        else announcements.every(database(), processors, club_ids())
    )
    found = [one for one in every if after is None or one.place < after]
    page, more = found[: query.limit], len(found) > query.limit
    return Announcements(data=[_shown(one) for one in page], next_cursor=_cursor(page[-1].place) if more else None)


@act("/announcements/<id:announcement_id>/applications", TAG, "/memberships/{membership_id}", Role.MANAGER)
def apply_announcement(announcement_id: int, body: AnswerBody) -> Application:
    """Do to a membership what was announced: end, reopen or freeze it, or end a freeze.

    It is an act like one by hand, and can be changed and undone like it.
    """
    one = _find(announcement_id, body)
    moved = announcing.apply(
        database(), one, reason=body.reason or "", by=actor(), now=utc_now(),
        late_credit=late_credit(),
    )  # fmt: skip
    return Application(
        announcement_id=announcement_id,
        membership_id=one.membership_id,
        does=one.proposal.does,
        what=one.proposal.done,
        moved=[grant.words for grant in moved],
    )


@act("/announcements/<id:announcement_id>/dismissals", TAG, "/memberships/{membership_id}", Role.MANAGER)
def dismiss_announcement(announcement_id: int, body: AnswerBody) -> Dismissal:
    """Leave a membership as it is. The same announcement, sent again, stays dismissed."""
    one = _find(announcement_id, body)
    announcements.dismiss(database(), one, reason=body.reason or "", by=actor(), now=utc_now())
    return Dismissal(announcement_id=announcement_id, membership_id=one.membership_id)


def _find(announcement_id: int, body: AnswerBody) -> Open:
    return announcements.find(database(), body.membership_id, announcement_id, _processors(), body.does)


def _processors() -> dict[str, str]:
    return announcing.processors(current_app.config["SPP"].endpoints)


def _shown(one: Open) -> Announcement:
    proposal = one.proposal
    return Announcement.of(one, proposal, id=proposal.fact_id, said_at=proposal.announced_at, what=one.words(utc_now()))


def _cursor(place: Place) -> str:
    at, fact_id, membership_id = place
    return urlsafe_b64encode(f"announcements {at.isoformat()} {fact_id} {membership_id}".encode()).decode().rstrip("=")
