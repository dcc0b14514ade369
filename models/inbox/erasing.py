"""Erasing a person: the name, the address, and what processors sent of the payer go; the ledger stays.

Payments, facts, grants and entries stay, with the member's id, so the audit agrees as before. The words of an act that
moved sessions, and the notes of entries and adjustments, are what the chain over the ledger covers: they stay, and the
proof says how many of them quote the person.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.database import locks
from models.errors import DayToCome, MergedAlready, NotConfirmed, NotFound
from models.members.memberships import Member, with_merged
from models.staff import actions
from models.staff.actions import Actor
from models.wording import counted
from runtime.language import in_english, say

SHORTEST = 3
"""Letters of a part of a name, from which on it is looked for by itself."""
_AHEAD_OF_UTC = timedelta(hours=14)
"""So far ahead are the clocks where a day begins first."""
_NEVER = r"(?!\w)\w"


class Erased(NamedTuple):
    """What was erased, and what could not be."""

    member_id: int
    events: int
    """Those whose bodies and fetched resources are gone."""
    bytes: int
    acts: int
    """Of the action log, in whose words the name or the address was replaced."""
    answers: int
    """Kept answers of the API, likewise."""
    sealed: int
    """Notes and reasons that quote the name or the address, and stay because the chain covers them."""

    @property
    def words(self) -> str:
        """The proof, for the action log."""
        proof = say(
            "member {id}: name and e-mail address, the bodies of {events} ({bytes}), the words of {actions} and of"
            " {answers} are erased; the ledger stays",
            id=self.member_id,
            events=counted(self.events, "event"),
            bytes=counted(self.bytes, "byte"),
            actions=counted(self.acts, "action"),
            answers=counted(self.answers, "kept answer"),
        )
        if not self.sealed:
            return proof
        return say(
            "{said}, with {notes} of the ledger that may name the person, which its chain covers",
            said=proof,
            notes=counted(self.sealed, "note"),
        )


_EDITS = text("SELECT subject FROM actions WHERE member_id = ANY(:members) AND verb = 'edit member'")
"""`member 1: name Ada -> Eve`: what they were called before."""
_BODIES = text("SELECT * FROM erase_bodies(:member)")
_WORDS = text("SELECT erase_words(:members, :pattern, :instead)")
_ANSWERS = text("""
    UPDATE kept_answers SET answer = regexp_replace(answer, :whole || '(?!":)', :instead, 'gi')
    WHERE answer ~* :address
       OR (answer ~* :whole AND answer ~ ANY(SELECT '"member_id":' || id || '\\M' FROM unnest(:members) AS id))
""")
# A file that names the person is not written any more: its rows go, and it can be sent again without them.
_FILES = text("""
    WITH named AS MATERIALIZED (
        SELECT DISTINCT import_id FROM import_rows
        WHERE EXISTS (SELECT FROM jsonb_array_elements_text(cells) AS cell WHERE cell ~* :whole)
    ), gone AS (
        DELETE FROM import_rows WHERE import_id IN (SELECT import_id FROM named)
    )
    UPDATE imports
    SET state = 'discarded', finished_at = clock_timestamp(),
        problem = 'A person who is named in it was erased: take that person out, and upload it again.'
    WHERE id IN (SELECT import_id FROM named)
""")
_SEALED = text("""
    SELECT (SELECT count(*) FROM actions
            WHERE member_id = ANY(:members) AND concat_ws(' ', subject, reason) ~* :pattern)
         + (SELECT count(*) FROM adjustments WHERE member_id = ANY(:members) AND note ~* :pattern)
         + (SELECT count(*) FROM credit_grants g JOIN ledger_entries e ON e.grant_id = g.id
            WHERE g.member_id = :member AND e.note ~* :pattern)
""")


def erase(
    session: Session, member_id: int, *, confirm: str, request: str, asked_on: date, by: Actor, now: datetime
) -> Erased:
    """Erase the person: `request` says who asked for it and how, `confirm` is the e-mail address, typed.

    So is everybody who was merged into this member. Done again later, it erases what has come since. Raises NotFound,
    MergedAlready, NotConfirmed, DayToCome, ReasonMissing or TextTooLong.
    """
    request = actions.reason_given(request, field="request")
    locks.change(session)  # a payment is settled either before or after, and then not credited
    ids = with_merged(session, member_id)
    query = select(Member).where(Member.id.in_(ids)).order_by(Member.id).with_for_update(key_share=True)
    people = {one.id: one for one in session.scalars(query.execution_options(populate_existing=True))}
    member = people.get(member_id)
    if member is None:
        raise NotFound(what="member", name=member_id)
    if member.merged_into is not None:
        raise MergedAlready(number=member_id, into=member.merged_into)
    if confirm.strip().lower() != member.email.lower():
        raise NotConfirmed
    if asked_on > (now + _AHEAD_OF_UTC).date():
        raise DayToCome(field="asked_on", day=asked_on)
    names, addresses = ({getattr(one, what) for one in people.values()} for what in ("name", "email"))
    for subject in session.scalars(_EDITS, {"members": list(ids)}):
        if edit := re.search(r": (name|email) (.*) -> ", subject, re.DOTALL):
            (names if edit[1] == "name" else addresses).add(edit[2])
    # What an earlier erasure made up, and wrote in place of what it found, names nobody.
    made_up = {text for number in people for text in _made_up(number)}
    names, addresses = names - made_up, addresses - made_up
    parts = {part for name in names for part in name.split() if len(part) >= SHORTEST}
    for one in people.values():
        one.name, one.email = _made_up(one.id)
        one.erased_at = one.erased_at or now
    session.flush()
    pattern = _pattern([*addresses, *names, *parts])
    values = {
        "member": member_id, "members": list(ids), "instead": member.name, "address": _pattern(addresses),
        "whole": _pattern([*addresses, *names]), "pattern": pattern,
    }  # fmt: skip
    reason = re.sub(pattern, member.name, request, flags=re.IGNORECASE)[: actions.MAX_REASON_LENGTH]
    subject = f"member {member_id}, asked on {asked_on}"
    actions.log(session, by, "ask to erase", subject, member_id=member_id, reason=reason)
    events, size = session.execute(_BODIES, values).one()
    acts = session.scalars(_WORDS, values).one()
    answers = session.connection().execute(_ANSWERS, values).rowcount
    session.execute(_FILES, values)
    erased = Erased(member_id, events, size, acts, answers, session.scalars(_SEALED, values).one())
    actions.log(session, by, "erase member", in_english(lambda: erased.words)(), member_id=member_id, reason=reason)
    return erased


def _made_up(member_id: int) -> tuple[str, str]:
    """The name and the address that stand in the place of the erased ones."""
    return f"Erased member {member_id}", f"erased-{member_id}@erased.invalid"


def _pattern(texts: Iterable[str]) -> str:
    """A regular expression, of PostgreSQL and of Python, for any of these as whole words; of none it finds nothing."""
    longest_first = sorted(texts, key=lambda one: (-len(one), one))
    either = "|".join(re.sub(r"([^\w\s])", r"\\\1", one) for one in longest_first) or _NEVER
    return rf"(?<!\w)(?:{either})(?!\w)"
