"""What every adapter must do. Its test class inherits ProcessorContract and says how its processor delivers.

The recorded bodies in tests/payloads/PROCESSOR are authentic deliveries that we can
read; one of them, unknown_type.json, is of a type that says nothing about dues.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.payments.facts import Announced, Claimed, DuesFailed, Fact, LineRefunded, Linked, Noted, Paid, Replaced
from runtime.settings import SettingsError
from tests.webhooks.coded import CodeContract
from tests.webhooks.deliveries import NOW, endpoint, received, recorded
from webhooks.processors import Delivery, Ignored, NotYet, ParsedEvent, Processor, Unusable, strict
from webhooks.signatures import Invalid

# Each takes the inside of a JSON object that would otherwise count, and spoils it.
HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "nothing but a brace": lambda _: b"{",
    "null": lambda _: b"null",
    "a list at the top": lambda inside: b"[{" + inside + b"}]",
    "a megabyte of nothing": lambda _: b"x" * 2**20,
    "100,000 deep from the top": lambda _: b"[" * 100_000,
    "100,000 deep": lambda inside: b"{" + inside + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects deep": lambda inside: b"{" + inside + b',"x":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
    "invalid UTF-8": lambda inside: b"{" + inside + b',"x":"\xff"}',
    "UTF-16": lambda inside: (b"{" + inside + b"}").decode().encode("utf-16"),
    "a byte order mark": lambda inside: b"\xef\xbb\xbf{" + inside + b"}",
    "NaN": lambda inside: b"{" + inside + b',"x":NaN}',
    "infinity": lambda inside: b"{" + inside + b',"x":-Infinity}',
    "a key twice": lambda inside: b"{" + inside + b',"x":1,"x":1}',
    "a NUL escaped": lambda inside: b"{" + inside + rb',"x":"a\u0000b"}',
    "a NUL behind a backslash": lambda inside: b"{" + inside + rb',"x":"\\\u0000"}',
    "a NUL in a key": lambda inside: b"{" + inside + rb',"\u0000":1}',
    "a bare NUL": lambda inside: b"{" + inside + b',"x":"\x00"}',
    "a lone surrogate": lambda inside: b"{" + inside + rb',"x":"\ud800"}',
    "a lone surrogate as key": lambda inside: b"{" + inside + rb',"\udfff":1}',
    "a 5,000-digit integer": lambda inside: b"{" + inside + b',"x":' + b"9" * 5_000 + b"}",
    "truncated": lambda inside: b"{" + inside,
    "something behind it": lambda inside: b"{" + inside + b"}{}",
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "1000", "1e3", "usd", "\x00", "\ud800", "x" * 256, "a b", "succeeded", "2026-11-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS: list[Any] = [
    *(None, True, False, 0, 1, -1, 10**20, 10**400, 0.5, 1.0, 1e308, "", "text", "a b", "\x00", "\ud800", "x" * 5_000),
    *([], {}, [[[]]], {"id": None}, {"id": {"id": 1}}),
]
"""One of each kind of value, for every place in a body."""
HEADER = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n"), max_size=200)


class EventContract(CodeContract):
    """What a delivery's events are and mean. Inherit through ProcessorContract, unless signatures stand in the body."""

    processor: ClassVar[str]
    key: ClassVar[bytes]
    options: ClassVar[Mapping[str, str]] = {}
    """What the processor's endpoints have to set."""
    varies: ClassVar[frozenset[str]] = frozenset()
    """Keys whose value may differ between redeliveries of one event."""

    def resource(self, part: ParsedEvent) -> bytes | None:
        """What would be fetched for a thin event."""
        raise NotImplementedError

    def adapter(self, *keys: bytes) -> Processor:
        """An endpoint's adapter, with these secrets or the usual one."""
        return endpoint(self.processor, *(key.decode() for key in keys or [self.key]), **self.options)

    # Events

    def test_recorded_bodies_are_events(self) -> None:
        for body in self._bodies():
            for part in self._parts(body):
                assert part.quarantine_reason is None
                assert strict.is_name(part.event_id)
                assert strict.is_name(part.type)

    def test_the_same_delivery_is_the_same_events(self) -> None:
        for body in self._bodies():
            assert self._parts(body, NOW) == self._parts(body, NOW + 60)

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_authentic_but_unreadable(self, hostile: str) -> None:
        body = HOSTILE[hostile](self._body().strip().removeprefix(b"{").removesuffix(b"}"))
        delivery = self._deliver(body)
        assert self.adapter().verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = self._parts(body)
        assert part.body == body
        assert strict.is_name(part.event_id)
        assert strict.is_name(part.type)
        if part.quarantine_reason is None:
            with pytest.raises(Unusable, match="unparsable"):
                self._interpret(part)

    @given(body=st.binary(max_size=100))
    def test_random_bodies_are_one_event_in_quarantine(self, body: bytes) -> None:
        (part,) = self._parts(body)
        assert part.body == body
        assert part.quarantine_reason

    # Meaning

    def test_interpreted_twice_says_the_same(self) -> None:
        meanings = [self._meaning(body) for body in self._bodies()]
        assert meanings == [self._meaning(body) for body in self._bodies()]
        assert any(isinstance(meaning, list) for meaning in meanings)

    def test_the_table_of_readings_names_methods(self) -> None:
        adapter = self.adapter()
        assert adapter.meanings
        assert all(callable(adapter.reading(kind)) for kind in adapter.meanings)

    def test_unknown_type_is_ignored(self) -> None:
        assert isinstance(self._meaning(recorded(self.processor)["unknown_type"]), str)

    def test_spacing_and_size_change_nothing(self) -> None:
        for body in self._bodies():
            assert self._meaning(body + b" " * 900_000) == self._meaning(body)

    def test_any_value_anywhere_is_facts_or_ignored_or_unusable(self) -> None:
        for body in self._bodies():
            for _, first, put in _places_to_change(body):
                for new in (*KINDS, {"id": first}, [first]):
                    self._check_meaning(put(new))

    @given(st.data())
    def test_mutated_bodies_are_facts_or_ignored_or_unusable(self, data: st.DataObject) -> None:
        value = json.loads(data.draw(st.sampled_from(self._bodies())))
        for _ in range(data.draw(st.integers(2, 4))):
            holder, key = data.draw(st.sampled_from(list(_places(value))))
            holder[key] = data.draw(JSON)
        self._check_meaning(json.dumps(value).encode())

    # Redeliveries

    def test_same_content(self) -> None:
        same = self.adapter().same_content
        bodies = [part.body for content in self._bodies() for part in self._parts(content)]
        for body in bodies:
            assert same(body, body)
            assert not [other for other in bodies if other != body and same(body, other)]

    def test_another_value_anywhere_is_other_content(self) -> None:
        same = self.adapter().same_content
        for body in [part.body for content in self._bodies() for part in self._parts(content)]:
            for key, first, put in _places_to_change(body):
                twins = (float(first), str(first), first + 1) if type(first) is int else (f"{first} ",)
                for new in () if key in self.varies else (*KINDS, *twins):
                    assert same(body, put(new)) == (repr(new) == repr(first)), (key, first, new)

    def test_bodies_as_deep_as_can_be_read(self) -> None:
        def nested(depth: int) -> bytes:
            return self._body().rstrip().removesuffix(b"}") + b',"x":' + b"[" * depth + b"]" * depth + b"}"

        def unreadable(depth: int) -> bool:
            return any(part.quarantine_reason for part in self._parts(nested(depth)))

        deepest = bisect_left(range(100_000), True, key=unreadable) - 1
        assert deepest > 100
        for depth in range(deepest - 50, deepest + 50):
            assert self.adapter().same_content(nested(depth), nested(depth) + b" ") in {True, False}
            self._check_meaning(nested(depth))

    def test_same_content_of_hostile_bodies(self) -> None:
        inside = self._body().strip().removeprefix(b"{").removesuffix(b"}")
        for spoil in HOSTILE.values():
            for first, second in ((spoil(inside), self._body()), (self._body(), spoil(inside))):
                assert self.adapter().same_content(first, second) in {True, False}

    # Details

    def _bodies(self) -> list[bytes]:
        return list(recorded(self.processor).values())

    def _body(self) -> bytes:
        return self._bodies()[0]

    def _deliver(self, body: bytes, key: bytes | None = None, timestamp: int = NOW) -> Delivery:
        return self.adapter(*([] if key is None else [key])).sign(body, timestamp)

    def _parts(self, body: bytes, timestamp: int = NOW) -> list[ParsedEvent]:
        """The events of the delivery of this content."""
        delivery = self._deliver(body, timestamp=timestamp)
        return self.adapter().parse(delivery.body, received(delivery.headers))

    def _interpret(self, part: ParsedEvent) -> list[Fact]:
        return self.adapter().interpret(part.type, part.body, self.resource(part) if part.thin else None)

    def _check_meaning(self, body: bytes) -> None:
        for part in self._parts(body):
            try:
                facts = self._interpret(part)
            except (Ignored, Unusable) as error:
                why = str(error)
            except NotYet as error:
                assert part.thin, "what was not fetched cannot be fetched again"
                why = str(error)
            else:
                why = f"{len(facts)} facts"
                for fact in facts:
                    _well_formed(fact)
            assert why != "0 facts"
            # What the inbox takes as a reason.
            assert why.encode()
            assert "\x00" not in why
            assert len(why) < 1_000

    def _meaning(self, body: bytes) -> object:
        """The facts of every event in the delivery, or why it has none."""
        facts = []
        for part in self._parts(body):
            try:
                facts += self._interpret(part)
            except Ignored as why:
                return str(why)
        return facts


class ProcessorContract(EventContract):
    """Inherit, fill in what is declared here, and add the processor's own table of meanings.

    For the processors that sign a whole body in a header.
    """

    other_key: ClassVar[bytes]
    signature_header: ClassVar[str]
    tolerance_s: ClassVar[int | None]
    """How far off a timestamp may be; None for a scheme without one."""

    def both_signatures(self, first: dict[str, str], second: dict[str, str]) -> dict[str, str] | None:
        """One delivery's headers with the signatures of both, as the processor sends them while a secret is rolled.

        None for a processor that signs with one secret at a time.
        """
        return None

    def test_good(self) -> None:
        for body in self._bodies():
            assert self._verify(body, self._sign(body)) is None

    def test_headers_in_whatever_case(self) -> None:
        body = self._body()
        for change in (str.upper, str.lower, str.title):
            assert self._verify(body, {change(name): value for name, value in self._sign(body).items()}) is None

    def test_wrong_secret(self) -> None:
        body = self._body()
        headers = self._sign(body, self.other_key)
        assert self._verify(body, headers, [self.other_key]) is None
        self._refused(body, headers)

    def test_no_secret_at_all(self) -> None:
        body = self._body()
        try:
            empty = self.adapter(b"")
        except SettingsError:
            return
        delivery = empty.sign(body, NOW)
        for headers in (delivery.headers, self._sign(body)):
            assert isinstance(empty.verify(body, received(headers), NOW), Invalid)

    def test_rotated(self) -> None:
        body = self._body()
        old, new = self._sign(body, self.key), self._sign(body, self.other_key)
        for headers in (old, new):
            assert self._verify(body, headers, [self.key, self.other_key]) is None
        for headers in (self.both_signatures(old, new), self.both_signatures(new, old)):
            if headers is None:
                continue
            for keys in ([self.key], [self.other_key], [self.key, self.other_key]):
                assert self._verify(body, headers, keys) is None
            self._refused(body, headers, [self.key[:-4]])

    def test_stale_and_future(self) -> None:
        body = self._body()
        if self.tolerance_s is None:
            # Nothing in it is dated, so a years-old replay is authentic; its id and its age stop it.
            assert self._sign(body, timestamp=NOW) == self._sign(body, timestamp=1)
            return
        for age in (-self.tolerance_s, self.tolerance_s):
            assert self._verify(body, self._sign(body, timestamp=NOW - age)) is None
        for age in (-self.tolerance_s - 1, self.tolerance_s + 1, -NOW, NOW):
            self._refused(body, self._sign(body, timestamp=NOW - age))

    def test_body_touched(self) -> None:
        body = self._body()
        headers = self._sign(body)
        for end in range(len(body)):
            self._refused(body[:end], headers)
        for at in range(len(body)):
            self._refused(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], headers)
        for more in (b" ", b"\n", b"\x00"):
            self._refused(body + more, headers)

    def test_body_serialised_again(self) -> None:
        body = self._body()
        for again in (json.dumps(json.loads(body)), json.dumps(json.loads(body), ensure_ascii=False)):
            self._refused(again.encode(), self._sign(body))

    def test_headers_missing_empty_strange(self) -> None:
        body = self._body()
        headers = self._sign(body)
        strange = ("", " ", ",", "=", "\x00", "é", "v1=é,t=é", "v1,é", "ÿ" * 10_000, "v1=" * 10_000, "9" * 5_000, "-1")
        for name in headers:
            self._refused(body, {other: value for other, value in headers.items() if other != name})
            for value in strange:
                self._refused(body, headers | {name: value})

    def test_signature_touched(self) -> None:
        body = self._body()
        headers = self._sign(body)
        signature = headers[self.signature_header]
        for at in range(len(signature)):
            wrong = "A" if signature[at] != "A" else "B"
            self._refused(body, headers | {self.signature_header: signature[:at] + wrong + signature[at + 1 :]})
            self._refused(body, headers | {self.signature_header: signature[:at]})

    def test_signature_header_twice(self) -> None:
        # The way WSGI hands over a header that stands there twice.
        body = self._body()
        headers = self._sign(body)
        signature = headers[self.signature_header]
        self._refused(body, headers | {self.signature_header: f"{signature},{signature}"})
        for comma in (",", ", "):
            self._refused(body, {name: f"{value}{comma}{value}" for name, value in headers.items()})

    @given(body=st.binary(max_size=300), values=st.lists(HEADER, min_size=3, max_size=3))
    def test_random_deliveries_are_refused_and_raise_nothing(self, body: bytes, values: list[str]) -> None:
        headers = dict(zip(self._sign(body), values, strict=False))
        self._refused(body, headers)
        assert self.adapter().parse(body, received(headers))

    def _sign(self, body: bytes, key: bytes | None = None, timestamp: int = NOW) -> dict[str, str]:
        return self._deliver(body, key, timestamp).headers

    def _verify(self, body: bytes, headers: Mapping[str, str], keys: Sequence[bytes] = ()) -> Invalid | None:
        return self.adapter(*keys).verify(body, received(headers), NOW)

    def _refused(self, body: bytes, headers: Mapping[str, str], keys: Sequence[bytes] = ()) -> None:
        assert isinstance(self._verify(body, headers, keys), Invalid), headers


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key in a JSON value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _places_to_change(body: bytes) -> Iterator[tuple[Any, Any, Callable[[Any], bytes]]]:
    """Every key of a body with its value and what makes the body with another one there."""
    value = json.loads(body)
    for holder, key in list(_places(value)):
        first = holder[key]

        def put(new: Any, holder: Any = holder, key: Any = key) -> bytes:
            holder[key] = new
            return json.dumps(value).encode()

        yield key, first, put
        holder[key] = first


def _well_formed(fact: object) -> None:
    """What the facts' table takes."""
    assert isinstance(fact, Fact)
    assert strict.is_name(fact.payment)
    assert fact.occurred_at.utcoffset() is not None
    if isinstance(fact, Linked | Replaced):
        assert strict.is_name(fact.other)
        return
    if isinstance(fact, Noted):
        assert fact.what.isprintable()
        return
    if isinstance(fact, Announced):
        assert fact.at is None or fact.at.utcoffset() is not None
        return
    if isinstance(fact, Claimed):
        assert fact.code.startswith("m_")
    assert fact.amount_minor is None or type(fact.amount_minor) is int
    assert fact.amount_minor is None or 0 <= fact.amount_minor < 2**63
    assert fact.currency is None or (fact.currency.isupper() and len(fact.currency) == 3)
    if isinstance(fact, Paid):
        assert fact.settled > 0
        assert fact.currency
        assert all(map(strict.is_name, (*fact.billing_references, *fact.payer)))
        for line in fact.lines:
            assert all(map(strict.is_name, line.references))
            assert abs(line.amount_minor) < 2**63
    elif isinstance(fact, DuesFailed):
        assert fact.closed or fact.billing_references or fact.payer
        assert all(map(strict.is_name, (*fact.billing_references, *fact.payer)))
    elif isinstance(fact, LineRefunded):
        assert strict.is_name(fact.refund)
        assert strict.is_name(fact.line)
    elif not isinstance(fact, Claimed):
        assert fact.cause.isprintable()
