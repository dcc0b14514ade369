"""A small app for the server's own tests: it tells what it was asked, or answers more than a client may read."""

import ctypes
import os
import threading

import psycopg
from flask import Flask, Response, jsonify, request, stream_with_context
from sqlalchemy.exc import OperationalError

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 100_000


@app.post("/webhooks/stripe")
@app.route("/echo", methods=["GET", "POST"])
def echo() -> Response:
    body = request.get_data()
    return jsonify(
        body=body.decode("latin-1"), headers=[*request.headers], address=request.remote_addr, path=request.path
    )


@app.get("/process")
def process() -> str:
    return str(os.getpid())


@app.get("/hang/<int:pid>")
def hang(pid: int) -> str:
    """Never answers, if that process is asked; 0 is all."""
    if pid in (0, os.getpid()):
        threading.Event().wait()
    return "not I"


@app.get("/freeze")
def freeze() -> str:
    """Holds the interpreter's lock, as a library may that hangs."""
    ctypes.PyDLL(None).sleep(1000)
    return "thawed"


@app.get("/large")
def large() -> Response:
    return Response(b"x" * 50_000_000)


@app.get("/pieces/<int:megabytes>")
def pieces(megabytes: int) -> Response:
    """An answer whose length nobody knows before; it fails at the end, if `broken` or `away` is asked for."""

    def lines():
        for number in range(megabytes * 16):
            yield f"{number:065535d}\n".encode()
        if "broken" in request.args:
            raise RuntimeError
        if "away" in request.args:
            raise OperationalError("SELECT", {}, psycopg.OperationalError("the server closed the connection"))

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/broken")
def broken() -> Response:
    def pieces():
        yield b"as if it were well"
        raise RuntimeError

    return Response(pieces())


@app.get("/healthz")
def healthz() -> str:
    return "alive"
