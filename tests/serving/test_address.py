"""A port belongs to one server, whose workers share it."""

import socket
import subprocess
import sys

import pytest

from local.processes import free_port
from local.stack import ROOT
from serving.address import check_free
from tests.serving.conftest import Serving

APP = "tests.serving.echo:app"


def test_a_second_server_on_the_port_of_a_first_is_refused(serving: Serving) -> None:
    with serving(workers=2) as server:
        code = f"from serving.server import *; serve(Served({APP!r}, '127.0.0.1', {server.port}))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert f"{APP} cannot be served on 127.0.0.1, port {server.port}: Address already in use." in done.stderr
        assert server.answers()


def test_an_address_is_free_again_once_its_connections_have_ended() -> None:
    """Connections that the server closed first stay in TIME_WAIT."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        with pytest.raises(OSError, match="in use"):
            check_free("127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""
    check_free("127.0.0.1", port)
