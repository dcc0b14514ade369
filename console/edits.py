"""What an edit changed, for the action log."""

from collections.abc import Mapping
from typing import Any

from console.request import actor, database
from models.staff import actions


class Edit:
    """An edit of a row: what it held before, to be compared with what it holds afterwards."""

    def __init__(self, row: Any, *names: str) -> None:
        self.row = row
        self.before = {name: getattr(row, name) for name in names}

    def log(self, verb: str, subject: str) -> bool:
        """Logs the columns that changed with their old and new values; whether there were any."""
        return log_changes(verb, subject, self.before, {name: getattr(self.row, name) for name in self.before})


def log_changes(verb: str, subject: str, before: Mapping[str, object], after: Mapping[str, object]) -> bool:
    """Logs what differs, as `dues_minor 8900 -> 9900`; nothing where nothing does. Whether anything did."""
    changed = [f"{name} {old} -> {after[name]}" for name, old in before.items() if old != after[name]]
    if changed:
        actions.log(database(), actor(), verb, f"{subject}: {', '.join(changed)}")
    return bool(changed)
