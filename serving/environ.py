"""The WSGI environ (PEP 3333) of a request, made from Granian's RSGI scope."""

import sys
from functools import lru_cache
from typing import Any, Protocol

Environ = dict[str, Any]


class Headers(Protocol):
    """A request's headers, their names in lower case."""

    def items(self) -> list[tuple[str, str]]:
        """Every header line, without those whose value is not printable ASCII."""


class Scope(Protocol):
    """What Granian knows about a request before its body arrives."""

    http_version: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Headers


class Environs:
    """Environs of the requests to one listening address."""

    def __init__(self, host: str, port: int) -> None:
        self._fixed: Environ = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_SOFTWARE": "Granian",
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }

    def of(self, scope: Scope) -> Environ:
        """The request's environ without `wsgi.input`. CONTENT_LENGTH is the client's claim."""
        environ = self._fixed.copy()
        environ["SERVER_PROTOCOL"] = "HTTP/" + scope.http_version
        environ["REQUEST_METHOD"] = scope.method
        # WSGI passes bytes as Latin-1.
        environ["PATH_INFO"] = scope.path.encode().decode("latin-1")
        environ["QUERY_STRING"] = scope.query_string
        environ["REMOTE_ADDR"] = scope.client.rpartition(":")[0].strip("[]")
        environ["wsgi.url_scheme"] = scope.scheme
        for header, value in scope.headers.items():
            name = variable(header)
            if name is None:
                continue
            if name in environ:
                separator = "; " if name == "HTTP_COOKIE" else ","
                environ[name] += separator + value
            else:
                environ[name] = value
        return environ


@lru_cache(maxsize=1024)
def variable(header: str) -> str | None:
    """The environ's name of a header; None to drop a header with an underscore in its name.

    `x_forwarded_for` would become HTTP_X_FORWARDED_FOR, as `x-forwarded-for` does, and bypass a proxy that sets only
    the latter. nginx drops such headers for the same reason (`underscores_in_headers`).
    """
    if "_" in header:
        return None
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
