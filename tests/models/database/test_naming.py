"""Names, e-mail addresses, references and reasons: one rule each, whoever types them."""

import pytest

from models.database.naming import email_given, is_reference, name_given, reference_given
from models.errors import InvalidEmail, NameMissing, ReasonMissing, ReferenceUnusable, TextTooLong
from models.staff.actions import reason_given

INVISIBLE = ["", "  ", "\u200b", "\u2060\ufeff", "\u202e", "\x00\x7f", "\u2800", "\u3164", "\u115f \u1160", "\u200d"]


@pytest.mark.parametrize("text", [*INVISIBLE, "\u0301", "\ud800"])
def test_a_name_or_a_reason_of_which_nothing_is_seen_is_missing(text: str) -> None:
    with pytest.raises(NameMissing):
        name_given(text)
    with pytest.raises(ReasonMissing):
        reason_given(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" Ann  Lee ", "Ann  Lee"),
        ("Ann\u202egnp.exe", "Anngnp.exe"),
        ("\u200bA\u2060nn\ufeff", "Ann"),
        ("Ann\nLee\tJr", "Ann Lee Jr"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("Zoe\u0308 漢字 42 +", "Zoe\u0308 漢字 42 +"),
    ],
)
def test_a_name_is_kept_without_characters_that_are_not_seen(text: str, name: str) -> None:
    assert name_given(text) == name


def test_a_reason_keeps_its_lines() -> None:
    assert reason_given(" first\nsecond\u202e ") == "first\nsecond"


def test_a_name_has_a_bound() -> None:
    assert len(name_given("x" * 200 + "\u200b")) == 200
    with pytest.raises(TextTooLong, match="at most 200 characters"):
        name_given("x" * 201)


@pytest.mark.parametrize("text", ["", "ann", "@", "ann@", "@x", "a@b@c", "a b@x", "ann@x\u200b", "ann@x\x00", "a\n@x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidEmail):
        email_given(text, 320)


def test_an_address_is_kept_without_blanks_around_it() -> None:
    assert email_given(" Ann@example.com ", 320) == "Ann@example.com"
    with pytest.raises(TextTooLong):
        email_given("a" * 320 + "@x", 320)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sub_1\u200b2", r"\(U\+200B, ZERO WIDTH SPACE\)"),
        ("sub 1", r"\(U\+0020, SPACE\)"),
        ("sub_😀", r"'😀' \(U\+1F600, GRINNING FACE\)"),
        ("sub_1\x00", r"\(U\+0000, a control character\)"),
        ("", "it has 0 characters"),
        ("x" * 256, "it has 256 characters"),
    ],
)
def test_a_reference_that_no_processor_can_make_is_refused_with_the_fault(text: str, why: str) -> None:
    assert not is_reference(text)
    with pytest.raises(ReferenceUnusable, match=why):
        reference_given(text)


def test_a_reference_is_kept_without_blanks_around_it() -> None:
    assert reference_given(" sub_1/~\n") == "sub_1/~"
