"""Forms whose act is previewed: a preview is asked for with GET, and only what it showed is done."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

from flask import request
from wtforms import Field, HiddenField

from console.web.access import Answer
from console.web.forms import Form, why
from console.web.picks import fingerprint
from models.errors import PreviewChanged, SppError
from runtime.language import say, say_n


class ActForm(Form):
    """The reason of an act; the forms of single acts add their days."""

    shown = HiddenField()
    """A fingerprint of the preview that the page showed."""
    reason = why(autofocus=False)

    @classmethod
    def asked(cls) -> Self:
        """The form as it was sent, or as its preview was asked for."""
        return cls(request.form if request.method == "POST" else request.args)

    @property
    def asks(self) -> list[Field]:
        """The fields that decide what the act is."""
        return [field for field in self if field.short_name not in ("csrf_token", "shown", "reason")]


class Preview(NamedTuple):
    """What an act comes to: in a sentence or two, and what moves, one by one."""

    head: str
    moves: Sequence[str]

    def words(self, most: int) -> str:
        """All of it in one text, with so many of the moves."""
        more = len(self.moves) - most
        rest = [say("And {n} more", n=more)] if more > 0 else []
        return " ".join([self.head, *(f"{one}." for one in [*self.moves[:most], *rest])])


def back_words(sessions: int, *, most: bool = False) -> list[str]:
    """What a preview says where so many sessions, or so many at most, that have expired can be used again."""
    if not sessions:
        return []
    if most:
        return [say_n("up to {n} expired session can be used again", "up to {n} expired sessions can be used again",
                      sessions)]  # fmt: skip
    return [say_n("{n} expired session can be used again", "{n} expired sessions can be used again", sessions)]


class Planned(Protocol):
    """Does the act for a reason, or only says what it comes to. Raises SppError."""

    def __call__(self, reason: str, *, preview: bool) -> Preview:
        """What it comes to."""


def answered(form: ActForm, planned: Planned, to: str, *, shown: int) -> tuple[Answer | None, Preview | None]:
    """The answer to a form that was sent and whose act is done, which leads `to`; or else the preview, if there is one.

    What was not previewed is not done: the form shows its preview first.
    """

    def act() -> tuple[str, str]:
        done = planned(form.text("reason"), preview=False)
        if form.shown.data != fingerprint(done):
            raise PreviewChanged
        return done.words(shown), to

    if answer := form.submitted(act):
        return answer, None
    is_sent, preview = request.method == "POST", None
    if request.args and not is_sent:
        for field in form.asks:
            field.validate(form)
    if not any(field.errors or (field.flags.required and not field.data) for field in form.asks):
        try:
            preview = planned(form.text("reason") or "a preview", preview=True)
        except SppError as error:
            if request.args and not is_sent:
                form.refuse(error)
    form.shown.data = fingerprint(preview) if preview else ""
    return None, preview
