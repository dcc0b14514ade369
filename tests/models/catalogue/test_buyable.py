"""Whatever managers do to an offer on sale, somebody can buy it, under each of its payment terms."""

from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.catalogue.tables import Item, Offer, OfferState, PaymentTerm, SessionBucket
from models.errors import SppError
from models.members.signing_up import chosen_buckets
from tests.models.gym import NOW, session_item

few = st.integers(0, 4)


class Manager(RuleBasedStateMachine):
    """Acts on one offer without a database: the rules need none. Refusals are as good as any answer."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = [session_item(f"Item {number}") for number in range(4)]
        for number, item in enumerate(self.items):
            item.id = number
        self.added = 0
        self.offer = Offer(name="Gold", state=OfferState.DRAFT.value, min_buckets=0, max_buckets=1)

    @rule(minimum=few, maximum=few)
    def set_limits(self, minimum: int, maximum: int) -> None:
        with suppress(SppError):
            self.offer.set_bucket_limits(minimum, maximum)

    @rule(which=st.integers(0, 3), required=st.booleans())
    def add(self, which: int, required: bool) -> None:
        with suppress(SppError):
            self.offer.add_bucket(self.items[which], required=required).item_id = which

    @precondition(lambda self: self.offer.buckets)
    @rule(data=st.data(), required=st.booleans())
    def require(self, data: st.DataObject, required: bool) -> None:
        with suppress(SppError):
            self.offer.set_required(self._bucket(data), required)

    @precondition(lambda self: self.offer.buckets)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        with suppress(SppError):
            self.offer.remove_bucket(self._bucket(data))

    @rule(data=st.data())
    def add_term(self, data: st.DataObject) -> None:
        self.added += 1
        with suppress(SppError):
            term = PaymentTerm(name=f"Term {self.added}", dues_minor=100, currency="USD")
            self.offer.add_term(term, self._sessions(data))

    @precondition(lambda self: self.offer.terms)
    @rule(data=st.data())
    def set_sessions(self, data: st.DataObject) -> None:
        with suppress(SppError):
            data.draw(st.sampled_from(self.offer.terms)).set_buckets(self._sessions(data))

    @precondition(lambda self: self.offer.terms)
    @rule(data=st.data(), act=st.sampled_from(["retire", "bring back", "remove"]))
    def turn_term(self, data: st.DataObject, act: str) -> None:
        term = data.draw(st.sampled_from(self.offer.terms))
        with suppress(SppError):
            if act == "retire":
                term.retire(NOW)
            elif act == "bring back":
                term.bring_back()
            else:
                self.offer.remove_term(term)

    @rule(on_sale=st.booleans())
    def turn_offer(self, on_sale: bool) -> None:
        with suppress(SppError):
            if on_sale:
                self.offer.publish()
            else:
                self.offer.retire()

    @invariant()
    def somebody_can_buy_it(self) -> None:
        if self.offer.state != OfferState.PUBLISHED:
            return
        assert self.offer.terms_on_sale
        for term in self.offer.terms_on_sale:
            wanted = sorted(term.used_buckets, key=lambda bucket: not bucket.required)
            at_least = max(self.offer.min_buckets, sum(bucket.required for bucket in wanted))
            chosen = chosen_buckets(term, [bucket.item for bucket in wanted[:at_least]])
            given = {entry.bucket: entry.quantity for entry in term.bucket_terms}
            assert all(given[bucket] > 0 for bucket in chosen), "nobody pays for a pick that gives nothing"
            if len(self.offer.buckets) != 1:
                assert self.offer.min_buckets <= len(chosen) <= self.offer.max_buckets

    def _bucket(self, data: st.DataObject) -> SessionBucket:
        return data.draw(st.sampled_from(self.offer.buckets))

    def _sessions(self, data: st.DataObject) -> dict[SessionBucket, tuple[int, int]]:
        return {bucket: (data.draw(st.integers(0, 2)), 0) for bucket in self.offer.buckets}


TestManager = Manager.TestCase
TestManager.settings = settings(max_examples=100, stateful_step_count=25)
