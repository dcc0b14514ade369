"""The API's description and its page."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.console.api.conftest import Caller, Json, answered


@pytest.fixture
def document(stranger: Caller) -> Json:
    return answered(stranger.get("/openapi.json"))


def parts(value: Any) -> Iterator[Json]:
    """Every object in it."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(part)


def operations(document: Json) -> list[Json]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_it_describes_every_route_under_a_name_of_its_own(document: Json, site: Flask) -> None:
    assert document["openapi"].startswith("3.1")
    routes = {
        (re.sub(r"<id:(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in site.url_map.iter_rules()
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}
        if rule.endpoint.startswith("api.")
    }
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    public = {"/api/v1/openapi.json", "/api/v1/docs", "/api/v1/problems/<name>", "/api/v1/static/<path:filename>"}
    assert {route for route in routes if route[0] not in public} == described
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z_]+", name) for name in names)


def test_every_operation_asks_for_a_token_and_tells_its_refusals(document: Json) -> None:
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for operation in operations(document):
        assert operation["security"] == [{"token": []}]
        assert {"401", "422", "500", "503"} <= operation["responses"].keys()
        assert operation["summary"]
        for status, response in operation["responses"].items():
            is_file = re.search("^(export|download)_|_template$", operation["operationId"])
            answer = "text/csv" if is_file else "application/json"
            kind = answer if status < "400" else "application/problem+json"
            assert list(response.get("content", [])) == ([] if status == "204" else [kind])


def test_every_field_and_parameter_is_explained(document: Json) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        for field, rules in schema.get("properties", {}).items():
            assert rules.get("description"), f"{name}.{field}"
            assert "examples" in rules, f"{name}.{field}"
    for operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"]
            assert "null" not in str(parameter["schema"])
    references = {part["$ref"] for part in parts(document) if "$ref" in part}
    assert references <= {f"#/components/schemas/{name}" for name in schemas}


def test_every_act_takes_a_key_and_says_who_may(document: Json) -> None:
    without_key = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            headers = {one["name"] for one in operation.get("parameters", []) if one["in"] == "header"}
            if method == "post" and "Idempotency-Key" not in headers:
                without_key.add(path)
            assert headers == set() or method == "post"
            of_managers = re.match("/api/v1/(exports|import|reports)", path)
            reads = "Needs a token whose owner is " if of_managers else "Any token may."
            may = reads if method == "get" else "Needs a token of scope write whose owner is "
            assert may in operation["description"], operation["operationId"]
    ours = "/api/v1/memberships/{membership_id}"
    assert without_key == {f"{ours}/billing-references", f"{ours}/sign-up-links", "/api/v1/imports"}
    built = document["paths"]["/api/v1/clubs"]["post"]["description"]
    assert built == "Needs a token of scope write whose owner is manager or admin."


def test_ids_and_quantities_have_the_bounds_of_the_database(document: Json) -> None:
    schemas = document["components"]["schemas"]
    body = schemas["RedemptionBody"]
    assert body["additionalProperties"] is False
    assert (body["properties"]["member_id"]["minimum"], body["properties"]["member_id"]["maximum"]) == (1, 2**63 - 1)
    assert (body["properties"]["quantity"]["minimum"], body["properties"]["quantity"]["maximum"]) == (1, 10_000)
    assert schemas["SignUpBody"]["properties"]["email"]["maxLength"] == 320
    limit = next(one for one in document["paths"]["/api/v1/members"]["get"]["parameters"] if one["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}


def test_the_page_has_all_that_it_needs_and_no_inline_script(stranger: Caller) -> None:
    page = stranger.get("/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self' 'unsafe-inline';" in policy
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        assert file.startswith("/api/v1/")
        assert stranger.client.get(file).status_code == 200
    assert not re.search(r"<script>|<style|\s(style|on\w+)=", page.text)
    assert "unsafe-inline" not in stranger.get("/openapi.json").headers["Content-Security-Policy"]
