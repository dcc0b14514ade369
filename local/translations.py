"""The catalogues of the pages' texts: found in the source, and brought up to date (`make translations`).

Beside what Babel finds in templates, this finds in Python: what `say`, `say_n`, `noted`, `stored`, `counted`, `flash`
and `abort` are called with, tables that are `Texts`, the messages of errors and their worded details, the verbs of the
action log, and what a form is made of.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from babel.messages import extract
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "console" / "web" / "translations"
LANGUAGES = ("en_GB", "es")
_SOURCES = (
    "models", "console/web", "console/edits.py", "console/rows.py", "console/first_payment.py", "console/foresight.py",
    "webhooks/processors", "worker/jobs.py", "runtime",
)  # fmt: skip

Text = str | tuple[str, ...] | list[str]
"""A text; one that is written with a number has two forms."""

_FIRST = {
    "say", "noted", "stored", "flash", "ValidationError", "InputRequired", "text_field", "Count", "WholeNumber",
    "Times", "Day", "Moment",
}  # fmt: skip
"""The calls whose first argument is a text."""
_TABLES = {"Column", "Export"}
"""The calls in tables of columns, whose texts are those that end as sentences do."""
_SECOND = {"abort", "EqualTo", "text_field", "SelectChoice"}
_KEYWORDS = {"description", "message", "needed"}
"""The arguments that are texts by their name, in what forms are made of."""
_WORDED = {"advice", "consequence", "further", "needs", "reason", "state", "uses", "verb", "what", "why"}
"""The details of errors that are words (`models/errors/base.py`)."""
_ENUMS = {
    "Role", "PaymentState", "TokenScope", "AdjustmentReason", "ItemKind", "SessionType", "EventState", "ImportState",
    "EntryKind", "Verdict",
    "JobName", "Kind",
}  # fmt: skip
"""The enumerations whose values the filter `words` writes."""


def python_texts(source: str) -> Iterator[Text]:
    """The texts in Python source, in its order."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call():
                yield from _of_call(node)
            case ast.AnnAssign(annotation=ast.Name(id="Texts"), value=ast.Dict() as table):
                for value in table.values:
                    yield from _literals(value)
            case ast.ClassDef():
                yield from _of_class(node)


def _of_call(call: ast.Call) -> Iterator[Text]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    literals = [list(_literals(argument)) for argument in call.args]
    if name == "say_n" and literals[0] and literals[1]:
        yield literals[0][0], literals[1][0]
    if name == "counted":
        yield from ((f"{{n}} {noun}", f"{{n}} {noun}s") for noun in literals[1])
    is_field = name.endswith("Field") or name in _FIRST
    if literals and (name in _FIRST or name.endswith("Field")):
        yield from literals[0]
    if name == "Export":
        yield from (text.capitalize() for text in literals[0])
    if name in _TABLES:
        yield from (text for literal in literals for text in literal if text.endswith("."))
    if name == "log" and len(literals) > 2:
        yield from (text.capitalize() for text in literals[2])
    if len(literals) > 1 and name in _SECOND:
        yield from literals[1]
    for keyword in call.keywords:
        is_worded = name[:1].isupper() and name != "Batch"  # whose arguments are types of columns
        if (is_field and keyword.arg in _KEYWORDS) or (is_worded and keyword.arg in _WORDED):
            yield from _literals(keyword.value)


def _literals(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be."""
    match node:
        case ast.Constant(value=str() as text) if text.strip():
            yield text
        case ast.IfExp():
            yield from _literals(node.body)
            yield from _literals(node.orelse)


def _of_class(node: ast.ClassDef) -> Iterator[Text]:
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    if node.name in _ENUMS and "StrEnum" in bases:
        for part in node.body:
            if isinstance(part, ast.Assign):
                yield from (value.replace("_", " ").capitalize() for value in _literals(part.value))
    elif bases & {"SppError", "UnreadableFile", "OfferCannotBeBought"} and (message := ast.get_docstring(node)):
        yield " ".join(message.split())


def extracted() -> Catalog:
    """Every text of the pages, with the files that it stands in."""
    found = Catalog(project="Sessions Per Payment", charset="utf-8")
    for path in _files(".py"):
        for text in python_texts(path.read_text()):
            found.add(text, locations=[(_named(path), 1)], flags=["python-brace-format"] if "{" in str(text) else [])
    options = {"trimmed": "true", "silent": "false", "newstyle_gettext": "true"}
    for path in _files(".html"):
        with path.open("rb") as template:
            texts = extract.extract("jinja2.ext:babel_extract", template, options=options)
            for _, text, _, _ in texts:
                found.add(text, locations=[(_named(path), 1)], flags=["python-format"] if "%(" in str(text) else [])
    return found


def _files(ending: str) -> Iterable[Path]:
    folders = [ROOT / "console/web/templates"] if ending == ".html" else [ROOT / source for source in _SOURCES]
    every = (path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob(f"*{ending}")))
    return sorted(path for path in every if "migrations" not in path.parts)


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(language: str) -> Catalog:
    """The catalogue of a language, as it is kept."""
    with file_of(language).open("rb") as kept:
        return read_po(kept, locale=language)


def file_of(language: str) -> Path:
    """Where its catalogue is kept."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


def write(language: str, catalogue: Catalog) -> None:
    """Keep a catalogue. British English has only what differs from American."""
    if language == "en_GB":
        for message in list(catalogue):
            if message.id and not _is_translated(message.string):
                catalogue.delete(message.id)
    with file_of(language).open("wb") as kept:
        write_po(kept, catalogue, width=120, sort_output=True, include_lineno=False, ignore_obsolete=True)


def _is_translated(translation: object) -> bool:
    return all(translation) if isinstance(translation, (list, tuple)) else bool(translation)


def missing(catalogue: Catalog) -> list[Text]:
    """The texts of a catalogue without a translation, or with one that was only guessed."""
    return [one.id for one in catalogue if one.id and (one.fuzzy or not _is_translated(one.string))]


def main() -> int:
    """Bring each catalogue up to date, and say what has no translation. Exits 1 if anything has none."""
    found, lacking = extracted(), 0
    for language in LANGUAGES:
        kept = read(language)
        kept.update(found, no_fuzzy_matching=True, update_header_comment=False)
        write(language, kept)
        if language != "en_GB":
            texts = missing(kept)
            lacking += len(texts)
            sys.stderr.writelines(f"{language}: no translation of {text!r}\n" for text in texts)
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
