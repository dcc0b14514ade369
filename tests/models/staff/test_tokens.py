"""API tokens: shown once, found by their hash, and as good as their owner."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.errors import NameMissing, NotFound, TextTooLong, WrongState
from models.staff import accounts, tokens
from models.staff.accounts import Staff
from models.staff.actions import Actor
from models.staff.tokens import ApiToken, NewToken, TokenScope
from tests.models.gym import wait_until_blocked
from tests.models.staff.test_accounts import NOW, account, acts

SECOND = timedelta(seconds=1)


@pytest.fixture
def ada(session: Session) -> Staff:
    return account(session)


def make(session: Session, owner: Staff, scope: TokenScope = TokenScope.READ) -> NewToken:
    return tokens.make(session, owner, name="Scheduler", scope=scope, by=Actor("ben", "here"))


def test_a_new_token_is_shown_once_and_written_down(session: Session, ada: Staff) -> None:
    token, secret = make(session, ada)
    assert re.fullmatch(r"spp_[A-Za-z0-9_-]{43}", secret)
    assert token.start == secret[:12]
    assert token.hash == sha256(secret.encode()).digest()
    assert (token.name, token.scope, token.owner, token.last_used_at) == ("Scheduler", "read", ada, None)
    [row] = session.execute(text("SELECT t::text FROM api_tokens t")).scalars()
    assert secret[12:] not in row
    subject = f"token {token.id}, {secret[:12]}..., 'Scheduler' to read, of ada@example.com"
    assert acts(session)[1:] == [("ben", "make token", subject)]
    assert make(session, ada).text != secret


def test_a_disabled_account_gets_none(session: Session, ada: Staff) -> None:
    accounts.disable(session, ada, by=Actor("root", "here"), now=NOW)
    with pytest.raises(WrongState, match=r"Account ada@example\.com is disabled, so it cannot be given a token\."):
        make(session, ada)


@pytest.mark.parametrize(("name", "error"), [(" ", NameMissing), ("n" * 201, TextTooLong)])
def test_it_has_a_name(session: Session, ada: Staff, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        tokens.make(session, ada, name=name, scope=TokenScope.READ, by=Actor("ben", "here"))


def test_those_in_use_are_listed_before_the_revoked_ones(session: Session, ada: Staff) -> None:
    first, second, third, fourth = (make(session, ada).token for _ in range(4))
    for token in (second, fourth):
        tokens.revoke(session, token.id, by=Actor("root", "here"), now=NOW)
    session.flush()
    assert tokens.list_tokens(session) == [third, first, fourth, second]


def test_writing_includes_reading(session: Session, ada: Staff) -> None:
    reading, writing = make(session, ada).token, make(session, ada, TokenScope.WRITE).token
    allowed = [(token.allows(TokenScope.READ), token.allows(TokenScope.WRITE)) for token in (reading, writing)]
    assert allowed == [(True, False), (True, True)]


class TestVerify:
    def test_the_text_finds_its_token(self, session: Session, ada: Staff) -> None:
        first, second = make(session, ada), make(session, ada)
        assert tokens.verify(session, first.text, NOW) is first.token
        assert tokens.verify(session, second.text, NOW) is second.token

    def test_any_other_text_finds_none(self, session: Session, ada: Staff) -> None:
        token, secret = make(session, ada)
        for other in ("", "spp_", secret[:-1], secret + " ", secret.swapcase(), token.hash.hex(), "\0\udcff"):
            assert tokens.verify(session, other, NOW) is None
        assert token.last_used_at is None

    def test_a_revoked_one_is_none(self, session: Session, ada: Staff) -> None:
        made, kept = make(session, ada), make(session, ada)
        tokens.revoke(session, made.token.id, by=Actor("root", "here"), now=NOW)
        assert tokens.verify(session, made.text, NOW) is None
        assert tokens.verify(session, kept.text, NOW) is kept.token
        assert noted(session, made.token) is None

    def test_one_of_a_disabled_account_is_none(self, session: Session, ada: Staff) -> None:
        made = make(session, ada)
        accounts.disable(session, ada, by=Actor("root", "here"), now=NOW)
        assert tokens.verify(session, made.text, NOW) is None
        assert noted(session, made.token) is None

    def test_its_use_is_noted_once_a_minute(self, session: Session, ada: Staff) -> None:
        token, secret = make(session, ada)
        seen = []
        for seconds in (0, 59, 60, 61, 180):
            assert tokens.verify(session, secret, NOW + seconds * SECOND)
            seen.append((noted(session, token) or NOW) - NOW)
        assert seen == [0 * SECOND, 0 * SECOND, 60 * SECOND, 60 * SECOND, 180 * SECOND]

    def test_only_its_own_use_is_noted(self, session: Session, ada: Staff) -> None:
        used, unused = make(session, ada), make(session, ada)
        tokens.verify(session, used.text, NOW)
        assert (noted(session, used.token), noted(session, unused.token)) == (NOW, None)

    def test_it_is_one_statement_by_one_index(self, engine: Engine) -> None:
        with sessions(engine).begin() as session:
            secret = make(session, account(session)).text
        statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
        with sessions(engine)() as session:
            token = tokens.verify(session, secret, NOW)
            assert token
            assert token.owner.email == "ada@example.com"
        assert len(statements) == 1
        assert statements[0].count("api_tokens.hash = ") == 2
        with engine.connect() as connection:
            query = text("EXPLAIN SELECT id FROM api_tokens WHERE hash = sha256('x')")
            assert "uq_api_tokens_hash" in str(connection.scalars(query).all())

    def test_it_never_waits_to_note_the_use(self, engine: Engine) -> None:
        with sessions(engine).begin() as session:
            secret = make(session, account(session)).text
        with sessions(engine)() as slow:
            assert tokens.verify(slow, secret, NOW)
            with sessions(engine)() as other:
                other.execute(text("SET lock_timeout = '100ms'"))
                assert tokens.verify(other, secret, NOW)


def noted(session: Session, token: ApiToken) -> datetime | None:
    return session.scalar(select(ApiToken.last_used_at).where(ApiToken.id == token.id))


class TestRevoke:
    def test_it_is_written_down_once(self, session: Session, ada: Staff) -> None:
        token, secret = make(session, ada)
        tokens.revoke(session, token.id, by=Actor("cyd", "here"), now=NOW)
        tokens.revoke(session, token.id, by=Actor("dee", "here"), now=NOW + SECOND)
        assert token.revoked_at == NOW
        assert acts(session)[2:] == [("cyd", "revoke token", f"token {token.id}, {secret[:12]}..., 'Scheduler'")]

    def test_what_is_not_there(self, session: Session) -> None:
        with pytest.raises(NotFound, match="There is no token 7"):
            tokens.revoke(session, 7, by=Actor("root", "here"), now=NOW)

    def test_at_once_one_is_written_down(self, engine: Engine) -> None:
        with sessions(engine).begin() as session:
            token = make(session, account(session)).token

        def revoke() -> None:
            with sessions(engine).begin() as other:
                known = other.get(ApiToken, token.id)
                assert known
                tokens.revoke(other, token.id, by=Actor("second", "here"), now=NOW + SECOND)

        with sessions(engine)() as session, ThreadPoolExecutor() as pool:
            tokens.revoke(session, token.id, by=Actor("first", "here"), now=NOW)
            session.flush()
            second = pool.submit(revoke)
            wait_until_blocked(engine, second.done)
            session.commit()
            second.result()
            assert [actor for actor, verb, _ in acts(session) if verb == "revoke token"] == ["first"]
