"""Tables as cards: each cell gets the heading of its column as `data-label`, which CSS shows where the table is narrow.

A link that stands alone in its cell or line is marked by `data-alone`: unlike one in a sentence, it has to be large
enough for a finger. Done once for every finished page, so that no template repeats its headings, and none is forgotten.
"""

import re
from collections.abc import Iterator, Sequence

TABLE = re.compile(r'<table class="table\b(.*?)</thead>(.*?)</table>', re.DOTALL)
HEADING = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
UNSEEN = re.compile(r'<(\w+) class="(?:visually-hidden|form-text)\b.*?</\1>|<[^>]*>', re.DOTALL)
CELL = re.compile(r"<tr\b|<(t[dh])\b([^>]*)>(.*?)</\1>", re.DOTALL)
SPAN = re.compile(r'colspan="(\d+)"')
LINK_ALONE = re.compile(r"<(td|th|dd|p|div)\b([^<>]*)>(?=\s*<a\b(?:(?!</?a\b).)*</a>\s*</\1>)", re.DOTALL)
FEW, MANY = 3, 6
"""Columns of tables that fit into less width than most, or need more."""


def label_cells(page: str) -> str:
    """The page, with `data-label` on each cell whose column has a visible heading, and `data-alone` at lone links."""
    return LINK_ALONE.sub(r"<\1\2 data-alone>", TABLE.sub(_labelled, page))


def _labelled(table: re.Match[str]) -> str:
    head, body = table.groups()
    headings = [_text(heading) for heading in HEADING.findall(head)]
    size = " few" if len(headings) <= FEW else " many" if len(headings) >= MANY else ""
    return f'<table class="table{size}{head}</thead>{"".join(_cells(body, headings))}</table>'


def _text(heading: str) -> str:
    """What is seen of a heading, as the value of an attribute."""
    return " ".join(UNSEEN.sub("", heading).split()).replace('"', "&#34;")


def _cells(body: str, headings: Sequence[str]) -> Iterator[str]:
    column = end = 0
    for found in CELL.finditer(body):
        yield body[end : found.start()]
        end = found.end()
        kind, attributes, content = found.groups()
        if kind is None:
            column = 0
            yield found.group()
            continue
        content = content.strip()
        if kind == "td" and content and column < len(headings) and headings[column] and "data-label" not in attributes:
            attributes += f' data-label="{headings[column]}"'
        span = SPAN.search(attributes)
        column += int(span[1]) if span else 1
        yield f"<{kind}{attributes}>{content}</{kind}>"
    yield body[end:]
