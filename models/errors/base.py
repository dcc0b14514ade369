"""What all errors share: the docstring is the message, filled with the details given when the error is raised.

An error names the form field that it belongs to, and the HTTP status that answers it. Its details stay values for
programs; days are put into words in the message alone. The message is in the language of whoever is answered, with
those of its details that the catalogues know (`what="offer"`).
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, ClassVar

from runtime.language import day_of, say, stored


class SppError(Exception):
    """A request that the rules refuse.

    The message goes to callers of every role. It may repeat what they sent, but it names other people's rows
    by id only, never by an e-mail address or a name; but for `SeveralMembers`, which has to ask who is meant.
    """

    field: str | None = None
    """The field of a form or JSON body that the error belongs to; None for the whole form.

    A form without that field shows the error above the form. Set per class, or where the error is raised.
    """
    status: ClassVar[int] = 422

    def __init_subclass__(cls, *, field: str | None = None, status: int | None = None) -> None:
        """Set both as class arguments, so that an error stays one line and its message."""
        cls.field, cls.status = field or cls.field, status or cls.status
        stored(_sentence(cls))

    def __init__(
        self, *, field: str | None = None, words: Mapping[str, str] = MappingProxyType({}), **details: Any
    ) -> None:
        """`words` are parts of the message that are no details."""
        self.field = field or self.field
        self.details = details
        values = {name: _in_words(name, value) for name, value in details.items()}
        super().__init__(say(_sentence(type(self))).format(**values, **words))


def _sentence(error: type[Exception]) -> str:
    return " ".join((error.__doc__ or "").split())


WORDED = frozenset({"advice", "consequence", "further", "needs", "reason", "state", "uses", "verb", "what", "why"})
"""The details that are words of ours, not of people: translated where the catalogues have them."""


def _in_words(name: str, value: Any) -> Any:
    """A day as people write it, such as `Jan 31, 2027`; words of ours in the language of the message."""
    if type(value) is date:
        return day_of(value)
    return say(str(value)) if name in WORDED and isinstance(value, str) else value
