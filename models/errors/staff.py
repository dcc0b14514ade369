"""Accounts and logins."""

from models.errors.base import SppError


class StaffExists(SppError, field="email", status=409):
    """There is already a staff account {email!r}."""


class PasswordTooShort(SppError, field="password"):
    """The password has {length} characters: choose one of at least {minimum}."""


class PasswordIsLoginName(SppError, field="password"):
    """The password is the login name: choose another one."""


class LastAdmin(SppError, field="role"):
    """{email} is the last active admin: make somebody else an admin first."""


class NotForOneClub(SppError, status=403):
    """This is for people who see all clubs: your account is bound to some. Ask an admin."""


class WrongLogin(SppError, status=401):
    """The e-mail address or the password is wrong."""


class WrongPassword(SppError, field="current"):
    """That is not your password: type the one that you log in with."""


class WrongCode(SppError, field="code", status=401):
    """That is not a code that can be used now: type the newest one of the app, or a recovery code."""


class LinkOver(SppError, status=404):
    """This link is over: it was used, is too old, or was not copied whole. Ask for a new one."""


class TooManyLinks(SppError, status=429):
    """Too many links were asked for: try again in {minutes} min."""


class TooManyFailures(SppError, status=429):
    """Too many failed logins: try again in {minutes} min."""
