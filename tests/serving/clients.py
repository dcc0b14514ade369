"""Clients of the kind that holds up servers, and one that only wants an answer. They speak through raw sockets."""

import http.client
import json
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

LONG_S = 60
"""How long a test waits for what must come."""
POST = b"POST /webhooks/stripe HTTP/1.1\r\nHost: here\r\n"


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """A connection on which that much was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=LONG_S)
    connection.sendall(sent)
    return connection


def answer(connection: socket.socket) -> bytes:
    """All that the server says until it closes the connection; what had come where it is reset."""
    heard = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            heard += piece
    return heard


def status(connection: socket.socket) -> int:
    """The status of the only answer; 0 where the server closed without one."""
    return int([*answer(connection).split(None, 2), b"", b"0"][1])


def ask(
    port: int, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of a plain request's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_S)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answered = connection.getresponse()
        return answered.status, answered.read()
    finally:
        connection.close()


def said(port: int, request: bytes) -> Any:
    """What the echo app says it was asked."""
    with connect(port, request) as connection:
        return json.loads(answer(connection).partition(b"\r\n\r\n")[2])


@contextmanager
def all_open(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """That many connections, on each of which that was sent, for as long as the block lasts."""
    connections = [connect(port, sent) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def http2_streams(count: int) -> bytes:
    """A connection of HTTP/2 with prior knowledge, and that many POSTs on it whose bodies never come."""
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0)
    for stream in range(1, 2 * count, 2):
        # :method POST, :scheme http, :path /webhooks/stripe, :authority here, content-length 1000 (RFC 7541).
        head = b"\x83\x86\x04\x10/webhooks/stripe\x01\x04here\x0f\x0d\x041000"
        sent += _frame(1, 4, stream, head)
    return sent


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
