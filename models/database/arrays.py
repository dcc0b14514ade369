"""Many rows as one statement's parameters: PostgreSQL array literals, for `unnest`.

The driver formats arrays element by element in Python; written out here, the same
columns take a fifth of the time, which is most of what crediting spends in Python.
"""

from collections.abc import Iterable, Sequence


def columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, str]:
    """The rows turned on their side: each name with its column, as an array literal to be cast."""
    return dict(zip(names, map(array, zip(*rows, strict=True)), strict=True)) if rows else dict.fromkeys(names, "{}")


def array(values: Iterable[object]) -> str:
    """An array literal of numbers, texts, booleans or times; None is NULL. Not for bytes, nor for nested arrays."""
    return "{" + ",".join(["NULL" if value is None else _quoted(str(value)) for value in values]) + "}"


def _quoted(text: str) -> str:
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
