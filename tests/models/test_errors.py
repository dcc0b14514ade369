"""What a refusal says, and what it keeps to itself."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.errors import NameTaken, NotFound, SppError, TermCannotBeBought, TextTooLong

TYPED_BY_THE_CALLER = {"InvalidEmail", "SeveralMemberships", "StaffExists"}
ASKS_WHO = {"SeveralMembers", "NameMissingInRow"}
"""Lists who shares an address that the caller sent: nobody could choose between ids alone."""
FOR_ADMINS = {"LastAdmin"}
"""Whom only an admin can ask to change; they see every account."""


def test_no_refusal_names_another_person() -> None:
    """Any token, page and command may meet a refusal: it says an e-mail address only where its caller sent it."""
    naming = {
        kind.__name__
        for kind in SppError.__subclasses__()
        if re.search(r"{(e?mail|person|member)\b", kind.__doc__ or "")
    }
    assert naming == TYPED_BY_THE_CALLER | ASKS_WHO | FOR_ADMINS


def test_an_error_knows_the_form_field_and_the_http_status() -> None:
    taken = NameTaken(what="an item", name="Spin")
    assert (taken.field, taken.status) == ("name", 409)
    assert TermCannotBeBought(offer="Gold", term="Monthly", reason="no").field == "payment_term_id"


def test_the_field_can_be_named_where_an_error_is_raised() -> None:
    missing = NotFound(field="item_id", what="item", name=7)
    assert (missing.field, missing.status, str(missing)) == ("item_id", 404, "There is no item 7.")
    assert "field" not in missing.details
    assert TextTooLong(what="The name", limit=1, length=2).field is None


def test_an_error_of_the_database_does_not_repeat_what_it_was_given(session: Session) -> None:
    session.execute(text("SET LOCAL statement_timeout = 1"))
    with pytest.raises(OperationalError) as caught:
        session.execute(text("SELECT pg_sleep(60), :email"), {"email": "ada@example.com"})
    assert "ada@example.com" not in str(caught.value)
