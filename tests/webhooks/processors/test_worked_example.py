"""The adapter in docs/processors.md is one: what the page tells a reader to write passes the contract tests."""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from models.payments.facts import Paid, Restored, Reversed
from tests.webhooks import contract, deliveries
from tests.webhooks.contract import ProcessorContract
from tests.webhooks.deliveries import changed, endpoint
from webhooks.processors import ADAPTERS

PAGE = (Path(__file__).parents[3] / "docs" / "processors.md").read_text()
SECTION = PAGE[PAGE.index("## Adding a processor") :]
CODE, CONTRACT = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
RECORDED, SAMPLES = re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL)
PAID = RECORDED.encode()
MADE = changed(PAID, id="ev_2", type="refund.made", refund={"id": "re_1", "amount": "89.00"})
BODIES = {
    "captured": PAID,
    "made": MADE,
    "failed": changed(MADE, id="ev_3", type="refund.failed"),
    "unknown_type": changed(PAID, id="ev_4", type="payout.made"),
}


@pytest.fixture(autouse=True, scope="module")
def acme() -> Iterator[None]:
    module = ModuleType("acme_of_the_docs")
    exec(compile(CODE, "docs/processors.md", "exec"), vars(module))  # our own page
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setitem(ADAPTERS, "acme", f"{module.__name__}:Acme")
        for where in (contract, deliveries):
            patch.setattr(where, "recorded", lambda processor: BODIES)
        yield


class TestContract(ProcessorContract):
    processor = "acme"
    key = b"secret"
    other_key = b"another"
    signature_header = "Acme-Signature"
    tolerance_s = None


def test_the_page_tells_to_inherit_just_this() -> None:
    assert dict(re.findall(r"    (\w+) = (.+)", CONTRACT)) == {
        name: repr(getattr(TestContract, name)).replace("'", '"')
        for name in ("processor", "key", "other_key", "signature_header", "tolerance_s")
    }


def test_meanings() -> None:
    on, at = endpoint("acme", "secret"), datetime(2026, 11, 1, 9, tzinfo=UTC)
    said = {
        name: on.interpret(json.loads(body)["type"], body) for name, body in BODIES.items() if name != "unknown_type"
    }
    assert said == {
        "captured": [Paid("pay_1", at, 8900, "USD", ("plan_1",))],
        "made": [Reversed("pay_1", at, "refund:re_1", 8900, "USD")],
        "failed": [Restored("pay_1", at, "refund:re_1", 8900, "USD")],
    }


def test_the_sample_is_one() -> None:
    (sample,) = json.loads(SAMPLES)["paid"]
    assert sample["content"].keys() == json.loads(RECORDED).keys()
