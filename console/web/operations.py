"""Operations: whether money is turning into sessions, and what all pages of Operations share."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from flask.blueprints import BlueprintSetupState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from console.request import database, undo, utc_now
from console.web import bulk_actions, events
from console.web import pauses as pausing
from console.web.access import Answer, Pages, Role
from console.web.charts import Chart, chart
from console.web.formats import clock, house_zone
from console.web.forms import page
from models.database.engine import sessions
from models.inbox import pauses
from models.inbox.events import EventState
from models.inbox.pauses import Pause
from models.operations import headline, jobs, traffic
from models.operations.figures import DAY_S, NOW_S
from models.operations.recent import Recent
from models.operations.situation import Lookout
from runtime.language import noted, say

pages = Pages("operations", __name__, url_prefix="/operations")
for _part in (events, bulk_actions, pausing):
    pages.register_blueprint(_part.pages)

PARTS: tuple[tuple[str, Mapping[str, str], str], ...] = (
    ("operations.overview", {}, noted("Overview")),
    ("operations.events.overview", {}, noted("Events")),
    ("operations.events.overview", {"state": EventState.DEAD.value}, noted("Failed")),
    ("operations.events.overview", {"state": EventState.QUARANTINED.value}, noted("Quarantined")),
    ("expiry.overview", {}, noted("Expiry")),
    ("audits.overview", {}, noted("Audits")),
    ("operations.bulk.overview", {}, noted("Bulk actions")),
    ("announcements.overview", {}, noted("Announcements")),
    ("memberships.await_payment", {}, noted("Awaiting payment")),
)
"""The pages of Operations: each with its query parameters and its label."""


@pages.record_once
def _charts(state: BlueprintSetupState) -> None:
    """The charts, drawn from figures that all viewers share."""
    make = sessions(state.app.extensions["spp_engine"])

    def over(count: Callable[[Session, datetime], Sequence[traffic.Moved]], time: timedelta) -> Sequence[traffic.Moved]:
        with make() as session:
            return count(session, utc_now() - time)

    state.app.extensions["spp_charts"] = (
        Recent(lambda: over(traffic.minutes, timedelta(hours=1)), NOW_S),
        Recent(lambda: over(traffic.hours, timedelta(days=1)), DAY_S),
    )


@pages.app_context_processor
def _shared() -> dict[str, Any]:
    return {"operations_parts": PARTS, "paused": _paused}


def _paused() -> Sequence[Pause]:
    """The endpoints paused now, for every page; none where the database does not answer."""
    try:
        return pauses.paused(database())
    except SQLAlchemyError:
        undo()
        return []


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The figures of this moment."""
    session, now = database(), utc_now()
    lookout: Lookout = current_app.extensions["spp_lookout"]
    situation = lookout.now()
    hour, day = current_app.extensions["spp_charts"]
    return page(
        "operations/overview.html",
        figures=situation.figures,
        workers=situation.workers,
        web=situation.web,
        alarms=lookout.alarms(),
        headline=headline.headline(situation.figures.total),
        hour=_drawn("minute", hour()),
        day=_drawn("hour", day()),
        paused_names=[pause.endpoint for pause in pauses.paused(session)],
        jobs=jobs.timetable(session, current_app.config["SPP"], now),
        members=lookout.members(),
        broker=current_app.extensions["spp_broker"](),
    )


def _drawn(every: str, moved: Sequence[traffic.Moved]) -> Chart:
    zone = house_zone()
    return chart(
        every,
        clock(moved[0].at, zone, seconds=False),
        say("now"),
        received=[one.received for one in moved],
        credited=[one.credited for one in moved],
    )
