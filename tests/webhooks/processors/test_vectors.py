"""Published vectors of the processors' own libraries; each names its source and licence."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.webhooks.deliveries import endpoint, received
from webhooks import signatures
from webhooks.processors import ADAPTERS

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_text())
UNPUBLISHED = {"paypal"}
"""Nobody but PayPal can sign with its certificate, and it publishes no signed delivery."""


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    on = endpoint(vector["scheme"], vector["secret"], **vector.get("options", {}))
    verdict = on.verify(vector["body"].encode(), received(vector["headers"]), vector["now"])
    assert isinstance(verdict, signatures.Invalid) is not vector["valid"], verdict


def test_every_scheme_has_vectors_of_both_kinds() -> None:
    assert {(vector["scheme"], vector["valid"]) for vector in VECTORS} == {
        (scheme, valid) for scheme in ADAPTERS.keys() - UNPUBLISHED for valid in (True, False)
    }
