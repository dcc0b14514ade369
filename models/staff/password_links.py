"""Links by which somebody sets a password without knowing the one before: a signed text, good once and for a time.

A link names the hash of the password that it replaces, so the new password ends it, as any other change does.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.orm import Session

from models.errors import LinkOver, TooManyLinks
from models.staff import actions, logins
from models.staff.accounts import Staff, find, named
from models.staff.actions import Actor

RESET, INVITATION = timedelta(hours=1), timedelta(days=7)
"""How long a link is good: one that was asked for, and one that an admin sends to somebody new."""


def ask(session: Session, email: str, *, address: str, now: datetime) -> None:
    """Counts that somebody asked for a link, whoever has that address. Raises TooManyLinks after some in a while.

    Commit before the answer is given.
    """
    if refusal := logins.count_links(session, email, address, now):
        raise TooManyLinks(**refusal.details)


def text(person: Staff, *, key: str, until: datetime) -> str:
    """The text of a link for the account; `key` is the console's secret."""
    return _signer(key).dumps([person.email, _print(person), int(until.timestamp())])


def account(session: Session, given: str, *, key: str, now: datetime) -> Staff:
    """The account that a link is for, locked, so that of two at once one counts. Raises LinkOver."""
    try:
        email, replaces, until = _signer(key).loads(given)
    except (BadSignature, ValueError):
        raise LinkOver from None
    person = find(session, email, lock=True)
    if person is None or not person.active or _print(person) != replaces or datetime.fromtimestamp(until, UTC) <= now:
        raise LinkOver
    return person


def set_password(session: Session, given: str, password: str, *, key: str, address: str, now: datetime) -> Staff:
    """Sets the password of the link's account, which ends the link and all its logins.

    Raises LinkOver, PasswordTooShort or PasswordIsLoginName.
    """
    person = account(session, given, key=key, now=now)
    logins.change_password(session, person, password, by=Actor(person.email, f"{address}, by mail"[:64]), now=now)
    return person


def note_mail(session: Session, person: Staff, *, by: Actor) -> None:
    """Logs that a link was mailed."""
    actions.log(session, by, "mail password link", named(person))


def _signer(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="password link", signer_kwargs={"digest_method": sha256})


def _print(person: Staff) -> str:
    return sha256(person.password_hash.encode()).hexdigest()[:32]
