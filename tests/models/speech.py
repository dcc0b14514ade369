"""A language with a few texts, for tests of what is said in another language than US English, and of what is not."""

from collections.abc import Mapping
from gettext import NullTranslations

from runtime.language import Language


class _Told(NullTranslations):
    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self._texts = texts

    def gettext(self, message: str) -> str:
        return self._texts.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def spanish(texts: Mapping[str, str]) -> Language:
    """Spanish with these texts."""
    return Language("es", _Told(texts))
