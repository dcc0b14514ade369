"""The guide's tables are the columns."""

from pathlib import Path

import pytest

from models.moving.columns import COLUMNS, Kind

GUIDE = Path(__file__).parents[3] / "docs" / "moving.md"


@pytest.mark.parametrize("kind", Kind)
def test_the_guide_has_every_column_as_it_is(kind: Kind) -> None:
    rows = GUIDE.read_text().splitlines()
    for column in COLUMNS[kind]:
        example = f"`{column.example}`" if column.example else ""
        cells = column.name, "yes" if column.required else "", column.takes, example
        assert f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" in rows
