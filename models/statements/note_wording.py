"""PURE: the notes that settling writes on entries, which are stored in English, in the language of the page.

A note is parts with `; ` between them. A part that is none of these stays as it is.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from runtime.language import day_of, noted, say

_TEXTS = (
    noted("credited late: days to expire count from the day of crediting"),
    noted("the payment turned out to be worth more"),
    noted("it can be used longer than was known when it expired"),
    noted("all but a fee of {fee} went back: it counts as all"),
    noted("it would begin on {first_day}, and the membership ended on {last_day}"),
    noted("it was paid before the cut-over: an earlier system has given its sessions"),
    noted("it was paid while the membership was frozen: it is the fee of the freeze"),
    noted("{n} had expired or been taken by hand"),
    noted("{n} already used, forgiven by the club"),
    noted("{n} already used: shortfall"),
    noted("{n} of shortfall cancelled"),
    noted("{n} had expired, been taken by hand or been forgiven"),
    noted("{n} frozen day not counted"),
    noted("{n} frozen days not counted"),
    noted("{n} closed day not counted"),
    noted("{n} closed days not counted"),
    noted("frozen until further notice"),
    noted("the membership ended on {last_day}"),
    noted("days on which its money was away are not counted"),
    noted("its days are counted anew"),
)
"""What `models.ledger.clawback` and `models.payments.{settlement,positions,dates}` write."""
_HOLE = re.compile(r"\\{(\w+)\\}")
_PATTERNS = {text: re.compile(_HOLE.sub(r"(?P<\1>.+?)", re.escape(text))) for text in _TEXTS}


def translated(note: str) -> str:
    """The note, part by part."""
    return "; ".join(map(_translated, note.split("; ")))


def _translated(part: str) -> str:
    for text, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(part):
            return say(text, **_written(found.groupdict()))
    return part


def _written(values: Mapping[str, str]) -> dict[str, str]:
    return {name: _day(value) if name.endswith("_day") else value for name, value in values.items()}


def _day(text: str) -> str:
    try:
        return day_of(datetime.strptime(text, "%b %d, %Y").date())  # noqa: DTZ007 -- a day, of no zone
    except ValueError:
        return text
