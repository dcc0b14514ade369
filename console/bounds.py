"""Accounts bound to clubs: which clubs the person or token of a request may see, and the guard before every view.

The guard looks at ids by their names, in the path, query, form or body: an object of another club is not found. A view
without such an id is closed to who is bound, unless it stands in one of the tables here.
"""

from collections.abc import Iterable, Mapping, Sequence

from flask import abort, current_app, g, request
from sqlalchemy import Select

from console.request import database, parse_id
from models.catalogue.clubs import Club
from models.errors import NotForOneClub, NotFound
from models.reports.known import BY_NAME
from models.staff import theirs as rules
from models.staff.theirs import Kind

GUARDED: Mapping[str, Kind] = {
    "member_id": Kind.MEMBER,
    "from_member_id": Kind.MEMBER,
    "gone_id": Kind.MEMBER,
    "member": Kind.MEMBER,
    "with": Kind.MEMBER,
    "membership_id": Kind.MEMBERSHIP,
    "to_membership_id": Kind.MEMBERSHIP,
    "membership": Kind.MEMBERSHIP,
    "into": Kind.MEMBERSHIP,
    "club_id": Kind.CLUB,
    "club": Kind.CLUB,
    "life_id": Kind.LIFE,
    "freeze_id": Kind.LIFE,
    "closure_id": Kind.LIFE,
    "payment_id": Kind.PAYMENT,
    "payment": Kind.PAYMENT,
    "grant_id": Kind.GRANT,
    "entry_id": Kind.ENTRY,
    "redemption_id": Kind.REDEMPTION,
    "done": Kind.REDEMPTION,
    "adjustment_id": Kind.ADJUSTMENT,
}
"""The kind of object that an id of this name is of: in paths, and in the fields of forms, queries and bodies."""
BESIDE = frozenset({"fact_id", "announcement_id", "name"})
"""Names in paths that say nothing by themselves: a guarded id in the path or in the body says whose it is."""

_REPORTS = frozenset(
    start + name.replace("-", "_") + end
    for name in BY_NAME
    for start, end in (("reports.", ""), ("reports.", "_csv"), ("api.report_", ""), ("api.download_report_", ""))
)
FILTERED = frozenset({
    "check_in.start", "check_in.suggestions", "members.search", "members.adjustments.waiting",
    "memberships.await_payment", "announcements.overview",
    "review.overview", "review.accept_all", "clubs.overview", "sign_up.form", "moving_in.overview", "expiry.overview",
    "expiry.export", "log.overview", "exports.overview", "exports.download",
    "api.list_members", "api.list_adjustments", "api.list_announcements", "api.list_awaiting", "api.list_payments",
    "api.list_redemptions", "api.list_reviews", "api.count_reviews", "api.accept_payments", "api.list_clubs",
    "api.get_moving_in", "api.list_unheard_references", "api.list_memberships_without_reference",
    "api.export_actions", "api.export_balances", "api.export_entries", "api.export_grants", "api.export_members",
    "api.export_memberships", "api.export_payments", "api.export_people", "api.export_redemptions",
    "memberships.remove_chosen", "api.remove_several_awaiting",
    "api.adjust", "api.redeem", "api.sign_up", "api.apply_announcement", "api.dismiss_announcement",
}) | _REPORTS  # fmt: skip
"""Views of lists, which ask `club_ids`, and acts whose ids stand in the body alone."""
COMMON = frozenset({
    "start.home", "reports.overview", "languages.choose", "staff.own_password", "second_factor.set_up",
    "second_factor.turn_off",
    "offers.overview", "offers.show", "inventory.overview",
    "api.list_reports", "api.list_items", "api.get_item", "api.list_offers", "api.get_offer", "api.get_payment_term",
})  # fmt: skip
"""Views that show nothing of a club."""
HOUSE = frozenset({"review.not_dues.mark"})
"""Views that have a guarded id in their path, and are about the whole house all the same."""
_CATALOGUE = frozenset({"offers", "inventory"})


def bind(clubs: Sequence[int] | None) -> None:
    """Say which clubs the person or token of this request may see."""
    g.club_ids = clubs or None


def club_ids() -> Sequence[int] | None:
    """The clubs that the person or token of this request may see; None: all of them."""
    found: Sequence[int] | None = g.get("club_ids")
    return found


def is_catalogue(endpoint: str) -> bool:
    """Whether that is a page of the catalogue, which all clubs share: who is bound only reads it."""
    return endpoint.partition(".")[0] in _CATALOGUE


def is_open(endpoint: str) -> bool:
    """Whether the person of this request may open that view, as far as clubs go."""
    return club_ids() is None or _is_open(endpoint)


def _is_open(endpoint: str) -> bool:
    if endpoint in FILTERED or endpoint in COMMON:
        return True
    ways = current_app.url_map.iter_rules(endpoint)
    return endpoint not in HOUSE and all(_is_guarded(way.arguments) for way in ways)


def _is_guarded(names: Iterable[str]) -> bool:
    """Whether ids of these names in a path say whose the object is."""
    return bool(GUARDED.keys() & names) and set(names) <= GUARDED.keys() | BESIDE


def check_page(clubs: Sequence[int] | None) -> None:
    """The guard of pages: refuse views and objects that the person may not see."""
    bind(clubs)
    if club_ids() is None:
        return
    _check_view()
    typed = [(name, parse_id(value)) for part in (request.args, request.form) for name, value in part.items(multi=True)]
    ids = [*(request.view_args or {}).items(), *typed]
    if any(not sees(GUARDED[name], one) for name, one in ids if name in GUARDED and one is not None):
        abort(404)


def check_api(parts: Iterable[Mapping[str, object]]) -> None:
    """The guard of the API, by the ids of the path, query and body. Raises NotForOneClub or NotFound."""
    if club_ids() is None:
        return
    _check_view()
    for part in parts:
        for name, one in part.items():
            if name in GUARDED and isinstance(one, int) and not sees(GUARDED[name], one):
                raise NotFound(what=GUARDED[name].value, name=one)


def _check_view() -> None:
    if not _is_open(request.endpoint or ""):
        raise NotForOneClub


def sees(kind: Kind, one: int) -> bool:
    """Whether the person or token of this request may see the object of that kind and id."""
    return bool(rules.of(database(), kind, [one], club_ids()))


def theirs(query: Select[Club]) -> Select[Club]:
    """The query of clubs, of those that the person or token may see."""
    clubs = club_ids()
    return query if clubs is None else query.where(Club.id.in_(clubs))
