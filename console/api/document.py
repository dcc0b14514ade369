"""The API's description in OpenAPI 3.1, made from the code, and pages to read it. All are public: they hold no data."""

import inspect
import json
from collections.abc import Sequence
from importlib import resources
from typing import cast

from flask import Blueprint, Response, abort, current_app
from flask_openapi3 import OpenAPI, Tag
from pydantic.json_schema import models_json_schema

from console.api import files, gate, problems
from console.api.gate import PREFIX, api
from console.request import open_to_all
from models.errors import SppError

DESCRIPTION = (
    "For the scheduler that members check in with, for sign-up, and for setting up what gyms sell. Every request "
    "carries a bearer token. An admin makes it in the console, and it may do what its owner's role allows. "
    "A refused request is answered with a problem (RFC 9457) and changes nothing. "
    "Ids are 64-bit integers, times RFC 3339 in UTC, money whole minor units."
)
# Swagger UI writes styles into its elements.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Location": "The path to read it again.",
    "Idempotency-Replayed": "`true` if an earlier request with the same key did it, and this one changed nothing.",
}


def _kinds(kind: type[Exception]) -> list[type[Exception]]:
    return [one for sub in kind.__subclasses__() for one in (sub, *_kinds(sub))]


_ALL: list[type[Exception]] = [problems.InvalidRequest, *_kinds(SppError)]
KINDS = {problems.name(kind): kind for kind in _ALL}
"""The types of problems by their names."""

swagger = Blueprint(
    "api_docs", __name__, url_prefix=f"{PREFIX}/docs", static_url_path="/assets",
    static_folder=str(resources.files("flask_openapi3_swagger") / "templates" / "swagger"),
)  # fmt: skip


def describe(app: OpenAPI, tags: Sequence[Tag]) -> None:
    """Set the head of an app's description. Its routes are added on the first request for it."""
    app.info.description = DESCRIPTION
    app.security_schemes = {"token": {"type": "http", "scheme": "bearer", "description": "An API token: spp_..."}}
    app.validation_error_model = problems.Problem
    app.tags = list(tags)


def _described(app: OpenAPI) -> str:
    document = app.api_doc
    # The library keeps only part of the models' schemas.
    _, schemas = models_json_schema(sorted(gate.MODELS, key=str), ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] = schemas["$defs"]
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = {
                key: int(value) if isinstance(value, float) else value
                for key, value in parameter["schema"].items()
                if value is not None and key not in ("title", "description", "example")
            }
        if body := files.UPLOADS.get(operation["operationId"]):
            operation["requestBody"] = body
        if made := operation["responses"].get("201"):
            made["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
            }
    return json.dumps(document)


@api.get("/openapi.json", doc_ui=False)  # type: ignore[untyped-decorator]
@open_to_all
def openapi() -> Response:
    """The description."""
    kept = current_app.extensions
    if "spp_description" not in kept:
        kept["spp_description"] = _described(cast("OpenAPI", current_app))
    return Response(kept["spp_description"], mimetype="application/json")


@api.get("/docs", doc_ui=False)  # type: ignore[untyped-decorator]
@open_to_all
def docs() -> Response:
    """The description as a page."""
    page: Response = api.send_static_file("docs.html")
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page


@api.get("/problems/<name>", doc_ui=False)  # type: ignore[untyped-decorator]
@open_to_all
def explain(name: str) -> Response:
    """Explain a type of problem."""
    kind = KINDS.get(name)
    if kind is None:
        abort(404)
    braces = "\n\nThe values in braces are in the problem's `details`." if "{" in (kind.__doc__ or "") else ""
    text = f"{problems.title(kind)}\n\n{inspect.cleandoc(kind.__doc__ or '')}{braces}\n"
    return Response(text, mimetype="text/plain")
