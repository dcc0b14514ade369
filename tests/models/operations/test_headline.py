"""The answer to whether money is turning into sessions."""

from models.operations.figures import EndpointFigures
from models.operations.headline import headline


def test_the_headline_says_how_many_payments_gave_no_sessions_and_which_events_may_be_some() -> None:
    assert str(headline(EndpointFigures(in_review=7))) == ""
    found = headline(EndpointFigures(dead=1, quarantined=2, in_review=1300, held=1, unmatched=1200, nothing=3))
    assert [one.figure for one in (*found.of_payments, *found.of_events)] == [
        "unmatched", "held", "nothing", "dead", "quarantined",
    ]  # fmt: skip
    assert str(found) == (
        "1,204 paid payments gave no sessions: 1,200 unmatched, 1 held, 3 that gave nothing;"
        " 3 events have no effect yet: 1 dead, 2 in quarantine"
    )
