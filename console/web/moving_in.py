"""Moving in: what is left after an import, until payments and memberships have found each other."""

from collections.abc import Sequence

from console.request import database, utc_now
from console.web.access import Answer, Pages, Role, club_ids
from console.web.fields import query_id
from console.web.forms import page
from models.statements import moving_in
from models.statements.moving_in import Unbilled, Unheard

pages = Pages("moving_in", __name__, url_prefix="/moving-in")

PAGE_SIZE = 25


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """References never heard of, payments unmatched, memberships without a reference."""
    session, now, clubs = database(), utc_now(), club_ids()
    places = {"references": query_id("references"), "memberships": query_id("memberships")}
    references = moving_in.unheard(session, now, limit=PAGE_SIZE + 1, after=places["references"], club_ids=clubs)
    memberships = moving_in.unbilled(session, now, limit=PAGE_SIZE + 1, after=places["memberships"], club_ids=clubs)
    return page(
        "moving_in/overview.html",
        counts=moving_in.counts(session, now, clubs),
        anybody=moving_in.anybody(session, clubs),
        references=references[:PAGE_SIZE],
        further_references=_further(references),
        memberships=memberships[:PAGE_SIZE],
        further_memberships=_further(memberships),
        places=places,
    )


def _further(found: Sequence[Unheard] | Sequence[Unbilled]) -> int | None:
    """The cursor of the next page; None on the last."""
    return found[PAGE_SIZE - 1].membership_id if len(found) > PAGE_SIZE else None
