"""Database URLs and settings of one of our processes, which logs in by its own role."""

from typing import TypeVar

from local.home import ROLES
from runtime.settings import DatabaseRole, Settings

Of = TypeVar("Of", str, Settings)


def as_role(of: Of, role: DatabaseRole) -> Of:
    """The URL, or the settings, by which that role logs in."""
    if isinstance(of, Settings):
        return of.model_copy(update={"database_url": as_role(of.database_url, role)})
    return f"{of}{'&' if '?' in of else '?'}user={ROLES}_{role}"
