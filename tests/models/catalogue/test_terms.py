"""What a payment term can say: which release fits which dues, and all of it in one sentence."""

from types import SimpleNamespace

import pytest

from models.catalogue.terms import Interval, Release, release_times, summary
from models.errors import NotReleased, ReleaseTimesMissing
from models.wording import Given

CLASSES = Given("Class", 8, 30)
TRAINING = Given("Personal Training", 4, 0)


def said(
    *given: Given, dues: int = 8900, interval: str = "month", count: int = 1, release: str = "at_once",
    times: int | None = None, currency: str = "USD",
) -> str:  # fmt: skip
    rules = {"dues_minor": dues, "interval": interval, "interval_count": count, "partial": "proportional"}
    return summary(SimpleNamespace(**rules, release=release, release_times=times), currency, given)


@pytest.mark.parametrize(
    ("interval", "count", "begin"),
    [
        ("week", 1, "Each $89.00 weekly payment gives"),
        ("month", 1, "Each $89.00 monthly payment gives"),
        ("year", 1, "Each $89.00 yearly payment gives"),
        ("week", 2, "Each $89.00 payment every 2 weeks gives"),
        ("month", 3, "Each $89.00 payment every 3 months gives"),
        ("once", 1, "The one-time $89.00 payment gives"),
    ],
)
def test_the_sentence_says_how_often_dues_fall_due(interval: str, count: int, begin: str) -> None:
    assert said(interval=interval, count=count) == f"{begin} no sessions."
    assert said(Given("Spin", 1, 1), interval=interval, count=count) == f"{begin} 1 Spin session (1 day)."


def test_the_sentence_lists_what_each_payment_gives() -> None:
    both = "8 Class sessions (30 days) and 4 Personal Training sessions (never expiring)."
    assert said(CLASSES, TRAINING) == f"Each $89.00 monthly payment gives {both}"
    assert said(CLASSES, TRAINING, Given("Spin", 1, 1)).endswith("(never expiring), and 1 Spin session (1 day).")
    assert said(Given("Spin", 0, 0), CLASSES).endswith("gives 8 Class sessions (30 days).")
    assert said(CLASSES, currency="RSD").startswith("Each RSD\xa089.00 monthly"), "a currency keeps its capitals"


@pytest.mark.parametrize(
    ("interval", "count", "release", "times", "what"),
    [
        ("year", 1, "monthly", None, "8 Class sessions a month, 12 times (30 days each)"),
        ("month", 3, "monthly", None, "8 Class sessions a month, 3 times (30 days each)"),
        ("month", 1, "weekly", None, "8 Class sessions a week, on Mondays (30 days each)"),
        ("month", 1, "times", 4, "8 Class sessions, 4 times over the month (30 days each)"),
        ("week", 6, "times", 2, "8 Class sessions, 2 times over the 6 weeks (30 days each)"),
    ],
)
def test_the_sentence_says_when_sessions_are_released(
    interval: str, count: int, release: str, times: int | None, what: str
) -> None:
    rules = {"interval": interval, "count": count, "release": release, "times": times}
    assert said(CLASSES, **rules).endswith(f" gives {what}.")
    second = what.replace("8 Class", "4 Personal Training").replace("30 days each", "never expiring")
    assert said(CLASSES, TRAINING, **rules).endswith(f" gives {what}, and {second}.")


def test_a_yearly_term_with_monthly_release_is_told_in_one_sentence() -> None:
    assert said(CLASSES, dues=118_800, interval="year", release="monthly") == (
        "Each $1,188.00 yearly payment gives 8 Class sessions a month, 12 times (30 days each)."
    )


FITS = {
    Release.AT_ONCE: {("week", 1), ("week", 2), ("month", 1), ("month", 2), ("year", 1), ("once", 1)},
    Release.MONTHLY: {("month", 2), ("year", 1)},
    Release.WEEKLY: {("week", 2), ("month", 1), ("month", 2), ("year", 1)},
    Release.TIMES: {("week", 1), ("week", 2), ("month", 1), ("month", 2), ("year", 1)},
}


@pytest.mark.parametrize("release", Release)
@pytest.mark.parametrize(("interval", "count"), sorted(FITS[Release.AT_ONCE]))
def test_a_release_fits_dues_for_longer_than_it(interval: str, count: int, release: Release) -> None:
    if (interval, count) in FITS[release]:
        kept = release_times(Interval(interval), count, release, 4)
        assert kept == (4 if release == Release.TIMES else None)
    else:
        with pytest.raises(NotReleased) as refused:
            release_times(Interval(interval), count, release, 4)
        assert refused.value.field == "release"


def test_a_release_that_does_not_fit_is_refused_with_what_it_needs() -> None:
    with pytest.raises(NotReleased, match=r"monthly only of dues for more than a month, .* due every month:"):
        release_times(Interval.MONTH, 1, Release.MONTHLY, None)
    with pytest.raises(NotReleased, match=r"several times only of dues that fall due again and again, .* due once:"):
        release_times(Interval.ONCE, 1, Release.TIMES, 4)


@pytest.mark.parametrize("times", [None, -1, 0, 1, 61])
def test_several_times_are_from_2_to_60(times: int | None) -> None:
    with pytest.raises(ReleaseTimesMissing, match="2 to 60") as refused:
        release_times(Interval.YEAR, 1, Release.TIMES, times)
    assert refused.value.field == "release_times"
    assert [release_times(Interval.YEAR, 1, Release.TIMES, one) for one in (2, 60)] == [2, 60]
