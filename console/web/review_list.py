"""The list of payments in review as the page shows it, also behind the windows that answer one of them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import current_app, request, url_for

from console import payers
from console.request import database
from console.web.access import Answer, Role, club_ids
from console.web.fields import query_id
from console.web.formats import link
from console.web.forms import page
from models.members.memberships import Member
from models.payments import reviewing
from models.payments.reviewing import Place
from models.payments.reviews import ReviewReason
from runtime.language import Texts

PAGE_SIZE = 25
MAY_LINK = (Role.DESK, Role.OPERATOR)
MAY_ACCEPT = (Role.MANAGER, Role.OPERATOR)
MAY_MARK = Role.MANAGER

LABELS: Texts = {
    ReviewReason.UNMATCHED: "Unmatched",
    ReviewReason.HELD: "Held",
    ReviewReason.CLAIM: "Code does not count",
    ReviewReason.ERASED: "Member erased",
    ReviewReason.UNPLACED: "Line of nobody",
    ReviewReason.NOTHING: "Gave nothing",
    ReviewReason.FROZEN: "Paid while frozen",
    ReviewReason.ENDED: "Paid after the end",
    ReviewReason.PART: "Part",
    ReviewReason.MORE: "More than the dues",
    ReviewReason.LESS: "Less than the dues",
    ReviewReason.EXTRA: "Beside the dues",
    ReviewReason.SEVERAL: "Charged again",
    ReviewReason.SHAPE: "Odd period",
    ReviewReason.PAYER_ONLY: "Payer only",
    ReviewReason.BALANCE: "From a balance",
    ReviewReason.NOT_DUES_REFUND: "Refund of no dues",
    ReviewReason.CUT_OVER: "Refund before cut-over",
    ReviewReason.OUTSIDE: "Given back outside",
    ReviewReason.NOTED: "Processor's note",
}
"""The reasons in a word or two, in the order of the filter."""

_FILTER = ("reason", "endpoint", "member", "after")


def query(**changes: object) -> dict[str, object]:
    """The filter of this page as query parameters, with these changes. A change of filter begins at the first page."""
    kept = {name: request.args[name] for name in _FILTER if name in request.args and not (changes and name == "after")}
    return {**kept, **changes}


def back() -> str:
    """The list as it was before a window was opened over it."""
    return link("review.overview", **query())


def over(window: str, ids: Mapping[str, Any], /, **more: object) -> str:
    """The address of a window over the list, which keeps the filter."""
    asked = urlencode({**query(), **more})
    return url_for(window, **ids) + (f"?{asked}" if asked else "")


def asked_reason() -> ReviewReason | None:
    """The reason of the filter; None for all of them, and for what is no reason."""
    text = request.args.get("reason", "")
    return ReviewReason(text) if text in set(ReviewReason) else None


def show(template: str = "list", refused: bool = False, /, **window: object) -> Answer:
    """The list, with a window over it."""
    session, reason, member_id = database(), asked_reason(), query_id("member")
    endpoint = request.args.get("endpoint") or None
    counts = reviewing.counts(session, endpoint, member_id, club_ids())
    after = Place.read(request.args.get("after", ""))
    found = reviewing.page(
        session, limit=PAGE_SIZE + 1, reason=reason, endpoint=endpoint, member_id=member_id, after=after,
        club_ids=club_ids(),
    )  # fmt: skip
    shown = found[:PAGE_SIZE]
    configured = current_app.config["SPP"].endpoints
    return page(
        f"review/{template}.html",
        refused,
        found=shown,
        following=shown[-1].place if len(found) > PAGE_SIZE else None,
        counts=counts,
        reason=reason,
        endpoint=endpoint,
        member=session.get(Member, member_id) if member_id else None,
        payers=payers.of_payments(session, configured, [one.payment_id for one in shown]),
        labels=LABELS,
        query=query,
        over=over,
        back=back(),
        may_link=MAY_LINK,
        may_accept=MAY_ACCEPT,
        may_mark=MAY_MARK,
        **window,
    )
