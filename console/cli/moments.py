"""Days and times as arguments of commands."""

import re
from datetime import UTC, date, datetime

import click

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)


class Day(click.ParamType[date]):
    """A day as YYYY-MM-DD."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Raises BadParameter."""
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a day. Give it as 2026-03-01.", ctx, param) from None


class Moment(click.ParamType[datetime]):
    """An ISO 8601 day or time, converted to UTC. A day means its first moment; without an offset it is in UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Raises BadParameter."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            if not _WRITTEN.fullmatch(text):
                raise ValueError(text)
            moment = datetime.fromisoformat(text.upper())
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            raise click.BadParameter(
                f"{text!r} is not a time. Give a day, such as 2026-03-01, or a time, such as "
                "2026-03-01T15:04:05-06:00. Without an offset it is in UTC.",
                ctx,
                param,
            ) from None


MOMENT = Moment()
DAY = Day()
