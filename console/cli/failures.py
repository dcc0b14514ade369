"""Messages for exceptions that any command can raise. Loaded after a failure: most of these classes load slowly."""

from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from local.errors import LocalFailure
from models.errors import SppError
from runtime.outages import is_away
from runtime.settings import SettingsError


def message(error: Exception) -> str | None:
    """The message for the user; None for a bug of ours."""
    match error:
        case SppError() | SettingsError() | LocalFailure() | OSError():
            return str(error)
        case OperationalError() if not is_away(error):
            return f"the database is busy: {str(error.orig).strip()}. Try again in a moment."
        case OperationalError():
            return f"the database is not reachable: {str(error.orig).strip()}"
        case ProgrammingError(orig=InsufficientPrivilege() as refused):
            return (
                f"{refused.diag.message_primary}: this command needs another database role's password, or the roles' "
                "privileges are not up to date: run `spp migrate`."
            )
        case ProgrammingError():
            return f"the database does not have this version's schema; run `spp migrate`. ({error.orig})"
        case DataError():
            return f"a value is too long or too large: {error.orig}"
        case UnicodeEncodeError():
            return "an argument is not valid UTF-8."
    return None
