"""The rules of the alarms at their thresholds, and who is told of them when."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.operations import notices
from models.operations.alarms import RULES, Alarm, Audited, Paused, Severity, Situation, Stopped, fired
from models.operations.figures import EndpointFigures, Figures
from models.operations.heartbeats import Process, ProcessKind
from models.operations.jobs import JobLine, JobName
from models.operations.notices import News, to_tell, was_sent
from models.operations.silence import Silence
from runtime.language import speaking
from tests.models.speech import spanish

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def worker(age_s: float) -> Process:
    return Process("host:1", ProcessKind.WORKER, age_s, NOW, NOW, None, 0, None, None)


def receiver(age_s: float, kind: ProcessKind = ProcessKind.RECEIVER) -> Process:
    return Process("host:2", kind, age_s, NOW, NOW, None, 7, None, None)


def situation(also: dict[str, Any] | None = None, **figures: Any) -> Situation:
    """One endpoint with these figures, a worker and a receiver that live, and what else is given."""
    one = EndpointFigures(**figures)
    known = Figures(NOW, {"stripe": one}, one, 0, 0, 0)
    return replace(Situation(known, workers=[worker(1)], web=[receiver(1)]), **(also or {}))


def job(*, overdue: bool) -> JobLine:
    return JobLine(JobName.SWEEP, NOW, None, None, None, NOW - HOUR, overdue)


def double(grants: int) -> dict[str, Any]:
    return {"figures": Figures(NOW, {}, EndpointFigures(), 0, 0, grants)}


def test_alarms_are_in_english_whoever_looks() -> None:
    with speaking(spanish({"{n} event": "{n} evento", "{n} in review": "{n} en revisión"})):
        (alarm,) = fired(situation(dead=1, oldest_dead_s=1.5))
    assert alarm.message == "1 event failed on stripe, the first 1.0 s ago: read the error, fix its cause, and replay."


SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

CASES: list[tuple[str, Situation, Situation, timedelta | None]] = [
    ("oldest_due", situation(due=2, oldest_due_s=30), situation(due=2, oldest_due_s=31), 31 * SECOND),
    ("no_worker", situation({"workers": [worker(15), worker(90)]}), situation({"workers": [worker(16)]}), 16 * SECOND),
    ("no_worker", situation(), situation({"workers": []}), None),
    ("no_receiver", situation({"web": [receiver(30), receiver(90)]}), situation({"web": [receiver(31)]}), 31 * SECOND),
    ("no_receiver", situation(), situation({"web": [receiver(1, ProcessKind.CONSOLE)]}), None),
    ("no_receiver", situation({**double(0), "web": []}), situation({"web": []}), None),
    ("dead_letters", situation(dead=0), situation(dead=1), None),
    ("quarantined", situation(quarantined=0), situation(quarantined=1, oldest_quarantined_s=9), 9 * SECOND),
    ("failing", situation(failing=0), situation(failing=1, longest_failing_s=3600), HOUR),
    ("review", situation(in_review=0), situation(in_review=1, oldest_in_review_s=7), 7 * SECOND),
    ("broker", situation(), situation({"broker_error": "Connection refused"}), None),
    ("double_credits", situation(double(0)), situation(double(1)), None),
    (
        "audit",
        situation({"audited": Audited(NOW - HOUR, 0, None)}),
        situation({"audited": Audited(NOW - HOUR, 1, "grant 7: remaining is 2")}),
        HOUR,
    ),
    (
        "silence",
        situation({"silences": []}),
        situation({"silences": [Silence("stripe", NOW - 30 * HOUR, NOW - 13 * HOUR)]}),
        30 * HOUR,
    ),
    (
        "bad_signatures",
        situation(bad_signatures_hour=5, answered_hour=5),
        situation(bad_signatures_hour=6, answered_hour=119),
        None,
    ),
    (
        "bad_signatures",
        situation(bad_signatures_hour=6, answered_hour=120),
        situation(bad_signatures_hour=7, answered_hour=120),
        None,
    ),
    (
        "waiting_on_processor",
        situation(waiting=2, longest_waiting_s=86_400),
        situation(waiting=2, longest_waiting_s=86_401),
        DAY + SECOND,
    ),
    (
        "late_jobs",
        situation({"jobs": [job(overdue=False)]}),
        situation({"jobs": [job(overdue=False), job(overdue=True)]}),
        HOUR,
    ),
    ("stopped_expiry", situation(), situation({"stopped": Stopped(3, NOW - HOUR, 9000, 40)}), HOUR),
    (
        "long_paused",
        situation({"paused": [Paused("stripe", NOW - DAY, "ann")]}),
        situation({"paused": [Paused("stripe", NOW - DAY - SECOND, "ann")]}),
        DAY + SECOND,
    ),
]


@pytest.mark.parametrize(("rule", "well", "wrong", "since"), CASES)
def test_a_rule_fires_beyond_its_threshold_and_not_at_it(
    rule: str, well: Situation, wrong: Situation, since: timedelta | None
) -> None:
    assert fired(well) == []
    (alarm,) = fired(wrong)
    assert (alarm.rule, alarm.severity) == (rule, RULES[rule])
    assert alarm.since == (None if since is None else NOW - since)
    assert alarm.message
    assert "\n" not in alarm.message


def test_every_rule_that_figures_can_tell_is_tried_here() -> None:
    assert {rule for rule, *_ in CASES} == RULES.keys() - {"database"}


def test_alarms_name_their_endpoint_where_they_are_about_one() -> None:
    found = fired(situation({"paused": [Paused("other", NOW - 2 * DAY, "ann")]}, dead=3, due=1, oldest_due_s=99))
    assert [(alarm.rule, alarm.endpoint) for alarm in found] == [
        ("oldest_due", None),
        ("dead_letters", "stripe"),
        ("long_paused", "other"),
    ]
    assert found[1].message.startswith("3 events failed on stripe: read")
    assert "by ann" in found[2].message


def test_a_payment_in_review_is_told_with_its_age_and_what_gave_no_sessions() -> None:
    (alarm,) = fired(situation(in_review=4, oldest_in_review_s=3 * 3600, unmatched=1, nothing=2))
    assert alarm.endpoint == "stripe"
    assert alarm.message == (
        "4 payments in review on stripe, the first for 3 h (without sessions: 1 unmatched, 2 that gave nothing):"
        " link, correct or accept them under Review."
    )
    (alarm,) = fired(situation(in_review=1, oldest_in_review_s=60))
    assert "without sessions" not in alarm.message


LATE = Alarm("oldest_due", Severity.CRITICAL, None, "late", NOW - SECOND)
DEAD = Alarm("dead_letters", Severity.CRITICAL, "stripe", "dead")


def news(session: Session, *alarms: Alarm, at: datetime, channel: str = "webhook") -> Sequence[tuple[str, News]]:
    """What the channel is told then, and takes."""
    notices.see(session, alarms, at)
    told = to_tell(session, channel, at)
    was_sent(session, channel, told, at)
    return [(one.alarm.rule, one.news) for one in told]


def test_an_alarm_is_told_when_it_begins_again_after_four_hours_and_when_it_is_over(session: Session) -> None:
    assert news(session, LATE, at=NOW) == [("oldest_due", News.FIRED)]
    assert news(session, LATE, at=NOW + 4 * HOUR - SECOND) == []
    assert news(session, LATE, at=NOW + 4 * HOUR) == [("oldest_due", News.LASTS)]
    assert news(session, LATE, at=NOW + 4 * HOUR + SECOND) == []
    assert news(session, at=NOW + 5 * HOUR) == [("oldest_due", News.RESOLVED)]
    assert news(session, at=NOW + 10 * HOUR) == []
    assert news(session, LATE, at=NOW + 11 * HOUR) == [("oldest_due", News.FIRED)]


def test_an_alarm_that_comes_and_goes_is_told_once(session: Session) -> None:
    assert news(session, LATE, at=NOW) == [("oldest_due", News.FIRED)]
    for minute in range(1, 40, 2):
        assert news(session, at=NOW + timedelta(minutes=minute)) == []
        assert news(session, LATE, at=NOW + timedelta(minutes=minute + 1)) == []


def test_each_endpoint_has_an_alarm_of_its_own(session: Session) -> None:
    other = DEAD._replace(endpoint="other")
    assert news(session, DEAD, other, at=NOW) == [("dead_letters", News.FIRED)] * 2
    assert [(one.endpoint, one.since) for one in notices.lasting(session)] == [("stripe", NOW), ("other", NOW)]
    assert news(session, DEAD, at=NOW + HOUR) == [("dead_letters", News.RESOLVED)]
    assert [one.endpoint for one in notices.lasting(session)] == ["stripe"]


def test_what_a_channel_did_not_take_is_told_again(session: Session) -> None:
    notices.see(session, [LATE], NOW)
    assert len(to_tell(session, "webhook", NOW)) == 1
    assert news(session, LATE, at=NOW + SECOND) == [("oldest_due", News.FIRED)]


def test_every_channel_is_told(session: Session) -> None:
    assert news(session, LATE, at=NOW) == news(session, LATE, at=NOW, channel="e-mail")


def test_what_was_over_before_it_could_be_told_is_not_told(session: Session) -> None:
    notices.see(session, [LATE], NOW)
    assert news(session, at=NOW + HOUR) == []


def test_the_message_is_kept_as_it_is_last_seen(session: Session) -> None:
    news(session, LATE, at=NOW)
    news(session, LATE._replace(message="later"), at=NOW + SECOND)
    (known,) = notices.lasting(session)
    assert (known.message, known.since, known.seen_at) == ("later", NOW - SECOND, NOW + SECOND)


def test_alarms_are_forgotten_after_400_days(session: Session) -> None:
    news(session, LATE, at=NOW)
    news(session, at=NOW + HOUR)
    news(session, at=NOW + HOUR + 401 * DAY)
    assert session.query(notices.KnownAlarm).count() == 0
