"""The codes of memberships that come back with a processor's events, as a part of what every adapter must do."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from models.payments.facts import Claimed, Fact
from tests.webhooks.deliveries import changed, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unusable

CODE = "m_gym234gym567gymx"
METADATA = {"membership_code": CODE}
NO_CODES: tuple[Any, ...] = ("m_1", f"{CODE}x", CODE.upper(), "membership 7", "", None, 7, [CODE])
"""What stands in a merchant's own field and is no code."""


class Coded(NamedTuple):
    """A recorded event with a code in one more place, and what it claims then."""

    name: str
    """Of the recorded body."""
    path: str
    """Where the code stands, as `changed` takes it."""
    reference: str
    value: Any = CODE
    from_link: bool = False
    fetched: bytes | None = None
    """What is fetched for the event, where the code stands in that."""


class CodeContract:
    """Mixed into the contract. A processor lists its places in `codes`."""

    processor: ClassVar[str]
    codes: ClassVar[Sequence[Coded]] = ()

    def adapter(self, *keys: bytes) -> Processor:
        raise NotImplementedError

    def resource(self, part: ParsedEvent) -> bytes | None:
        raise NotImplementedError

    def _parts(self, body: bytes) -> list[ParsedEvent]:
        raise NotImplementedError

    def test_a_code_claims_the_reference_that_its_payment_names(self) -> None:
        for coded in self.codes:
            found = [fact for fact in self._facts(coded, coded.value) if isinstance(fact, Claimed)]
            assert [(one.payment, one.code, one.from_link) for one in found] == [
                (coded.reference, CODE, coded.from_link)
            ], coded.path

    def test_what_is_no_code_claims_nothing(self) -> None:
        for coded in self.codes:
            for other in NO_CODES:
                value = {"membership_code": other} if coded.value == METADATA else other
                assert not [fact for fact in self._facts(coded, value) if isinstance(fact, Claimed)], coded.path

    def _facts(self, coded: Coded, value: Any) -> list[Fact]:
        body = recorded(self.processor)[coded.name]
        fetched = coded.fetched and changed(coded.fetched, **{coded.path: value})
        adapter = self.adapter()
        (part,) = self._parts(body if fetched else changed(body, **{coded.path: value}))
        try:
            return adapter.interpret(part.type, part.body, fetched or (self.resource(part) if part.thin else None))
        except (Ignored, Unusable):
            return []
