"""Braintree's notices are read from XML: the contract of every event, and what is refused."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.contract import EventContract
from tests.webhooks.deliveries import NOW, received
from tests.webhooks.processors.test_braintree import (
    EDITS,
    KEY,
    ON,
    PAID,
    RECORDED,
    Edit,
    change,
    edited,
    meaning,
    mutations,
    places,
    split,
    with_text,
)

LISTED_SINCE = {"plan-id", "add-ons", "discounts", "billing-period-end-date"}
"""What an earlier version did not list."""


def laughs(xml: bytes) -> bytes:
    """A billion of them."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "ha">{entities}]>'.encode() + xml.replace(b"sale", b"&l9;")


def inside(more: bytes) -> Callable[[bytes], bytes]:
    return lambda xml: xml.replace(b"</notification>", more + b"</notification>")


# Each takes XML that would otherwise count, and spoils it.
HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "JSON": lambda _: b'{"kind": "check"}',
    "a megabyte of nothing": lambda _: b"x" * 2**20,
    "another root": lambda xml: xml.replace(b"notification", b"notice"),
    "a root of text": lambda _: b"<notification>text</notification>",
    "a root that is a list": lambda xml: xml.replace(b"<notification>", b'<notification type="array">'),
    "truncated": lambda xml: xml[:-9],
    "something behind it": lambda xml: xml + b"<x/>",
    "text beside elements": inside(b"text"),
    "text in a list": inside(b'<x type="array">text</x>'),
    "100,000 deep": inside(b"<x>" * 100_000 + b"</x>" * 100_000),
    "100,000 deep and not closed": inside(b"<x>" * 100_000),
    "invalid UTF-8": inside(b"<x>\xff</x>"),
    "half a character": inside(b"<x>\xc3</x>"),
    "a surrogate in UTF-8": inside(b"<x>\xed\xa0\x80</x>"),
    "UTF-16": lambda xml: xml.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "a NUL": inside(b"<x>\x00</x>"),
    "a NUL escaped": inside(b"<x>&#0;</x>"),
    "a control character": inside(b"<x>&#7;</x>"),
    "a lone surrogate": inside(b"<x>&#xD800;</x>"),
    "an unknown entity": inside(b"<x>&laugh;</x>"),
    "a document type": lambda xml: b"<!DOCTYPE notification>" + xml[xml.index(b"<notification") :],
    "an entity of its own": lambda xml: b'<!DOCTYPE x [<!ENTITY a "sale">]>' + xml[xml.index(b"<notification") :],
    "a file from outside": lambda xml: (
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + xml[xml.index(b"<notification") :].replace(b"sale", b"&a;")
    ),
    "a billion laughs": lambda xml: laughs(xml[xml.index(b"<notification") :]),
    "an attribute twice": inside(b'<x a="1" a="2"/>'),
    "no kind": lambda xml: edited(xml, {"kind": ...}),
    "two kinds": inside(b"<kind>check</kind>"),
    "a kind with a blank": lambda xml: edited(xml, {"kind": "a b"}),
    "no timestamp": lambda xml: edited(xml, {"timestamp": None}),
}


class TestContract(EventContract):
    processor = "braintree"
    key = KEY.encode()

    def _bodies(self) -> list[bytes]:
        return list(RECORDED.values())

    def _body(self) -> bytes:
        return PAID

    def test_unknown_type_is_ignored(self) -> None:
        assert "nothing about dues" in str(self._meaning(RECORDED["unknown_type"]))

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_authentic_but_unreadable(self, hostile: str) -> None:
        body = HOSTILE[hostile](PAID)
        assert body != PAID
        delivery = self._deliver(body)
        assert self.adapter().verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = self._parts(body)
        assert (part.body, part.type) == (body, "unparsable")
        assert re.fullmatch("sha256:[0-9a-f]{64}", part.event_id)
        assert re.fullmatch("unparsable: .{3,110}", str(part.quarantine_reason))
        assert not self.adapter().same_content(body, PAID)
        assert not self.adapter().same_content(PAID, body)

    def test_any_value_anywhere_is_facts_or_ignored_or_unusable(self) -> None:
        for body in self._bodies():
            for mutated in mutations(body):
                self._check_meaning(mutated)

    @given(st.data())
    def test_mutated_bodies_are_facts_or_ignored_or_unusable(self, data: st.DataObject) -> None:
        root = ET.fromstring(data.draw(st.sampled_from(self._bodies())))
        for _ in range(data.draw(st.integers(2, 4))):
            edit = data.draw(st.sampled_from(EDITS) | st.text(max_size=9).map(with_text))
            if found := list(places(root)):
                change(*data.draw(st.sampled_from(found)), edit)
        self._check_meaning(ET.tostring(root, "utf-8"))

    def test_another_value_anywhere_is_other_content(self) -> None:
        for body in self._bodies():
            for number in range(len(list(places(ET.fromstring(body))))):
                edits: list[Edit] = ["drop", "double", with_text("zz")]
                for edit in edits:
                    root = ET.fromstring(body)
                    parent, place = list(places(root))[number]
                    if edit == "drop" and b"transaction_listed" in body and parent[place].tag in LISTED_SINCE:
                        continue
                    change(parent, place, edit)
                    assert not self.adapter().same_content(body, ET.tostring(root))

    def test_bodies_as_deep_as_can_be_read(self) -> None:
        for depth, readable in ((1, True), (63, True), (64, False), (65, False)):
            body = inside(b"<x>" * depth + b"</x>" * depth)(PAID)
            assert (self._parts(body)[0].quarantine_reason is None) is readable
            assert self.adapter().same_content(body, body + b" ") is readable
            self._check_meaning(body)

    def test_same_content_of_hostile_bodies(self) -> None:
        for spoil in HOSTILE.values():
            assert self.adapter().same_content(spoil(PAID), spoil(PAID))


class TestXml:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (b"\n  ", b"\r\n\t"),
            (b"<id>", b'<id  a="1"\n>'),
            (b"tx_Gym0001", b"tx_&#71;ym0001"),
            (b"tx_Gym0001", b"<![CDATA[tx_Gym0001]]>"),
            (b"tx_Gym0001", b"tx_<!-- -->Gym<?pi?>0001"),
            (b'<order-id nil="true"/>', b"<order-id></order-id>"),
            (b"currency-iso-code", b"currency_iso_code"),
            (b'encoding="UTF-8"', b'encoding="ISO-8859-1"'),
            (b"<?xml", b"\xef\xbb\xbf<?xml"),
        ],
    )
    def test_the_same_xml_spelled_otherwise_says_the_same(self, first: bytes, second: bytes) -> None:
        other = PAID.replace(first, second)
        assert other != PAID
        assert ON.same_content(PAID, other)
        assert meaning(other) == meaning(PAID)
        (part,), (twin,) = split(PAID), split(other)
        assert part.event_id == twin.event_id

    def test_a_wide_one(self) -> None:
        (part,) = split(inside(b"<x/>" * 180_000)(PAID))
        assert part.quarantine_reason is None
