"""What the app is told of a request, however it came."""

import json
import re
from pathlib import Path

import pytest

from tests.serving.clients import all_open, answer, ask, connect, said, status

LIMIT = 100_000


def request(lines: bytes, body: bytes = b"") -> bytes:
    return b"POST /echo HTTP/1.1\r\nHost: here\r\nConnection: close\r\n" + lines + b"\r\n" + body


def test_body_headers_address_and_path(port: int) -> None:
    told = said(port, request(b"Content-Length: 3\r\nContent-Type: text/x\r\nX-Two: a\r\nX-Two: b\r\n", b"a\xffb"))
    assert (told["body"], told["address"], told["path"]) == ("a\xffb", "127.0.0.1", "/echo")
    assert dict(told["headers"]) == {
        "Host": "here",
        "Connection": "close",
        "Content-Length": "3",
        "Content-Type": "text/x",
        "X-Two": "a,b",
    }


def test_no_header_passes_for_another(port: int) -> None:
    told = said(
        port, request(b"X_Forwarded_For: 1.2.3.4\r\nContent_Length: 9\r\nX_Real-IP: 1\r\nX-Forwarded-For: 5\r\n")
    )
    assert dict(told["headers"]) == {"Host": "here", "Connection": "close", "X-Forwarded-For": "5"}


def test_cookies_stay_apart(port: int) -> None:
    told = said(port, request(b"Cookie: a=1\r\nCookie: b=2, 3\r\n"))
    assert dict(told["headers"])["Cookie"] == "a=1; b=2, 3"


@pytest.mark.parametrize("path", ["/%ff%fe", "/%00", "/caf%C3%A9", "/%E2%80%A8?x=%ff&y=%"])
def test_any_path_is_looked_for(port: int, path: str) -> None:
    assert ask(port, path)[0] == 404


def test_a_path_arrives_as_it_was_meant(port: int) -> None:
    told = said(port, b"GET /%65cho HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert told["path"] == "/echo"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


class TestBodies:
    def test_of_any_size_up_to_the_limit(self, port: int) -> None:
        for size in (1, 8_000, LIMIT):
            code, told = ask(port, "/echo", "POST", b"a" * size)
            assert (code, len(json.loads(told)["body"])) == (200, size)

    def test_over_the_limit(self, port: int) -> None:
        assert ask(port, "/echo", "POST", b"a" * (LIMIT + 1))[0] == 413

    def test_over_the_limit_by_what_it_says(self, port: int) -> None:
        # Nobody waits for it: the server answers, and closes the connection.
        with connect(port, request(b"Content-Length: 99999999999\r\n", b"a")) as client:
            assert status(client) == 413

    @pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"99999999999999999999", b"3\r\nContent-Length: 4"])
    def test_of_a_senseless_length(self, port: int, length: bytes) -> None:
        with connect(port, request(b"Content-Length: %s\r\n" % length, b"abc")) as client:
            assert status(client) == 400

    def test_in_chunks(self, port: int) -> None:
        told = said(port, request(b"Transfer-Encoding: chunked\r\n", chunked(b"abc", b"d" * 5000, b"e")))
        assert told["body"] == "abc" + "d" * 5000 + "e"
        assert dict(told["headers"])["Content-Length"] == "5004"

    @pytest.mark.parametrize("length", [b"", b"Content-Length: 77\r\n"])
    def test_in_no_chunks(self, port: int, length: bytes) -> None:
        told = said(port, request(b"Transfer-Encoding: chunked\r\n" + length, chunked()))
        assert (told["body"], dict(told["headers"])["Content-Length"]) == ("", "0")

    def test_in_chunks_up_to_the_limit_and_over_it(self, port: int) -> None:
        for size, code in ((LIMIT, 200), (LIMIT + 1, 413)):
            body = chunked(*[b"a" * 10_000] * (size // 10_000), *[b"a"] * (size % 10_000))
            with connect(port, request(b"Transfer-Encoding: chunked\r\n", body)) as client:
                assert status(client) == code

    def test_in_chunks_without_an_end(self, port: int) -> None:
        with connect(port, request(b"Transfer-Encoding: chunked\r\n", chunked(b"a" * 60_000)[:-5] * 2)) as client:
            assert status(client) == 413

    def test_in_crumbs(self, port: int) -> None:
        with connect(port, request(b"Transfer-Encoding: chunked\r\n", chunked(*[b"a"] * 5_000))) as client:
            heard = answer(client)
        assert heard.startswith(b"HTTP/1.1 400 ")
        assert b"too many pieces" in heard

    @pytest.mark.parametrize(
        "sent", [request(b"Content-Length: 9\r\n", b"abc"), request(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n")]
    )
    def test_cut_short(self, port: int, sent: bytes) -> None:
        with connect(port, sent) as client:
            client.shutdown(1)
            heard = answer(client)
        assert heard.startswith(b"HTTP/1.1 400 ")
        assert b"ended too early" in heard

    def test_announced(self, port: int) -> None:
        with connect(port, request(b"Content-Length: 3\r\nExpect: 100-continue\r\n")) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            client.sendall(b"abc")
            assert b'"body":"abc"' in answer(client)


def test_one_connection_after_the_other_request(port: int) -> None:
    one = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabc"
    with connect(port, one * 3 + request(b"")) as client:
        assert answer(client).count(b"HTTP/1.1 200 OK") == 4


def test_an_answer_that_breaks_off_is_none(port: int) -> None:
    assert ask(port, "/broken") == (500, b"Something went wrong.")


def test_many_at_once(port: int) -> None:
    with all_open(port, 100, request(b"Content-Length: 6\r\n", b"abc")) as clients:
        for client in clients:
            client.sendall(b"def")
        assert [b'"body":"abcdef"' in answer(client) for client in clients] == [True] * 100


class TestLongAnswers:
    def test_in_pieces_come_whole_and_leave_memory_as_it_was(self, port: int) -> None:
        pid = int(ask(port, "/process")[1])
        assert ask(port, "/pieces/2")[0] == 200
        before = most_megabytes(pid)
        code, body = ask(port, "/pieces/200")
        assert (code, len(body)) == (200, 200 * 2**20)
        assert body.endswith(f"{200 * 16 - 1:065535d}\n".encode())
        assert most_megabytes(pid) < before + 64

    def test_that_fail_at_their_end_were_never_begun(self, port: int) -> None:
        assert ask(port, "/pieces/3?broken") == (500, b"Something went wrong.")

    def test_whose_database_went_away_can_be_asked_for_again(self, port: int) -> None:
        code, text = ask(port, "/pieces/3?away")
        assert (code, text.endswith(b"Try again in a moment.")) == (503, True)


def most_megabytes(pid: int) -> int:
    """The most memory that the process ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) // 1024
