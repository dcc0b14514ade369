"""How pages and files travel: tables labelled, compressed, and files at addresses that change with their content."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask_compress import Compress

from console.web.labels import label_cells

FOR_EVER = "public, max-age=31536000, immutable"


def install(app: Flask) -> None:
    """Finish every answer of this app."""
    app.config["COMPRESS_REGISTER"] = False
    app.config["COMPRESS_BR_LEVEL"] = 4  # of 11: more costs a page more time than it saves its reader
    app.config["COMPRESS_LEVEL"] = 4  # of gzip's 9
    compress = Compress(app)

    @app.url_defaults
    def name_content(endpoint: str, values: dict[str, Any]) -> None:
        if is_static(endpoint) and "filename" in values:
            values.setdefault("v", _digest(_folder(app, endpoint), values["filename"]))

    @app.after_request
    def finish(response: Response) -> Response:
        if is_static(request.endpoint) and response.status_code < 400:
            content = _digest(_folder(app, request.endpoint or ""), (request.view_args or {}).get("filename", ""))
            is_named = content is not None and request.args.get("v") == content
            response.headers["Cache-Control"] = FOR_EVER if is_named else "no-cache"
            return compress.after_request(response)
        if response.mimetype == "text/html" and not response.is_streamed:
            response.set_data(label_cells(response.get_data(as_text=True)))
            if _is_asked_from_here():
                return compress.after_request(response)
        return response


def is_static(endpoint: str | None) -> bool:
    """Whether it answers with a file that everybody may have."""
    return (endpoint or "").rpartition(".")[2] == "static"


def _is_asked_from_here() -> bool:
    """Whether no other site made the browser ask.

    What another site asks for is answered uncompressed: from the sizes of compressed answers, a listener who can choose
    a part of them could guess the rest (BREACH).
    """
    return request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}


def _folder(app: Flask, endpoint: str) -> str | None:
    blueprint = endpoint.rpartition(".")[0]
    return (app.blueprints[blueprint] if blueprint else app).static_folder


@lru_cache(maxsize=256)
def _digest(folder: str | None, name: str) -> str | None:
    """What stands for the content of a file; None if there is none."""
    file = Path(folder or "", name)
    return sha256(file.read_bytes()).hexdigest()[:12] if folder and file.is_file() else None
