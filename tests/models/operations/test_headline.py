"""The answer to whether money is turning into sessions."""

from models.operations.figures import EndpointFigures
from models.operations.headline import headline


def test_the_headline_counts_all_that_keeps_a_paid_payment_from_its_sessions() -> None:
    nothing = headline(EndpointFigures(due=7, received_day=9))
    assert (str(nothing), nothing.number, nothing.since_s) == ("", 0, None)
    found = headline(
        EndpointFigures(
            late=2, oldest_late_s=60, paused_due=4, dead=1, quarantined=2, in_review=1300, oldest_in_review_s=7200,
            held=1, unmatched=1200, nothing=3,
        )
    )  # fmt: skip
    assert str(found) == (
        "1,309 payments or events need somebody: 2 waiting too long, 4 paused, 1 failed, 2 quarantined,"
        " 1,300 in review (without sessions: 1,200 unmatched, 1 held, 3 that gave nothing)"
    )
    assert found.age == "the first for 2 h"
    assert [one.state for one in found.parts] == ["pending", "pending", "dead", "quarantined", None]
    assert [one.reason for one in found.without_sessions] == ["unmatched", "held", "nothing"]
    assert str(headline(EndpointFigures(dead=1))) == "1 payment or event needs somebody: 1 failed"
