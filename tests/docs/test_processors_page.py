"""docs/processors.md says of every processor where a membership's code is put."""

import pytest

from local.stack import ROOT
from webhooks.processors import ADAPTERS, processor_named

PAGE = (ROOT / "docs" / "processors.md").read_text()


@pytest.mark.parametrize("processor", ADAPTERS)
def test_where_a_code_is_put_stands_there_as_pages_and_api_show_it(processor: str) -> None:
    field = processor_named(processor).code_field
    assert f"`{field.snippet.format(code='m_...')}`" in PAGE
    assert f"`?{field.link.format(code='m_...', email='')}".partition("&")[0] in PAGE
