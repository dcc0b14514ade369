"""Whatever managers do to an offer on sale, somebody can buy it, under each of its payment terms."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.catalogue.items import Item
from models.catalogue.tables import Offer, OfferState, PaymentTerm, SessionBucket
from models.errors import SppError
from models.members.signing_up import chosen_buckets
from tests.models.gym import NOW, add_term, session_item

few = st.integers(0, 4)


class Manager(RuleBasedStateMachine):
    """Acts on one offer without a database: the rules need none. What is refused is undone, as callers roll back."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Item] = [session_item(f"Item {number}") for number in range(4)]
        for number, item in enumerate(self.items):
            item.id = number
        self.added = 0
        self.offer = Offer(name="Gold", state=OfferState.DRAFT.value, min_buckets=0, max_buckets=1)

    @contextmanager
    def act(self) -> Iterator[None]:
        offer = self.offer
        limits, state = (offer.min_buckets, offer.max_buckets), offer.state
        buckets, terms = [(bucket, bucket.required) for bucket in offer.buckets], list(offer.terms)
        given = {
            term: (term.retired_at, {entry.bucket: (entry.quantity, 0) for entry in term.bucket_terms})
            for term in terms
        }
        try:
            yield
        except SppError:
            offer.state = OfferState.DRAFT.value
            offer.min_buckets, offer.max_buckets = limits
            offer.buckets[:] = [bucket for bucket, _ in buckets]
            for bucket, required in buckets:
                bucket.required = required
            offer.terms[:] = terms
            for term, (retired_at, numbers) in given.items():
                term.retired_at, term.bucket_terms = retired_at, []
                term.set_buckets(numbers)
            offer.state = state

    @rule(minimum=few, maximum=few)
    def set_limits(self, minimum: int, maximum: int) -> None:
        with self.act():
            self.offer.set_bucket_limits(minimum, maximum)

    @rule(which=st.integers(0, 3), required=st.booleans())
    def add(self, which: int, required: bool) -> None:
        with self.act():
            self.offer.add_bucket(self.items[which], required=required).item_id = which

    @precondition(lambda self: self.offer.buckets)
    @rule(data=st.data(), required=st.booleans())
    def require(self, data: st.DataObject, required: bool) -> None:
        with self.act():
            self.offer.set_required(self._bucket(data), required)

    @precondition(lambda self: self.offer.buckets)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        with self.act():
            self.offer.remove_bucket(self._bucket(data))

    @rule(data=st.data())
    def add_term(self, data: st.DataObject) -> None:
        self.added += 1
        with self.act():
            term = PaymentTerm(name=f"Term {self.added}", dues_minor=100, currency="USD")
            add_term(self.offer, term, self._sessions(data))

    @precondition(lambda self: self.offer.terms)
    @rule(data=st.data())
    def set_sessions(self, data: st.DataObject) -> None:
        with self.act():
            data.draw(st.sampled_from(self.offer.terms)).set_buckets(self._sessions(data))

    @precondition(lambda self: self.offer.terms)
    @rule(data=st.data(), what=st.sampled_from(["retire", "bring back", "remove"]))
    def turn_term(self, data: st.DataObject, what: str) -> None:
        term = data.draw(st.sampled_from(self.offer.terms))
        with self.act():
            if what == "retire":
                term.retire(NOW)
            elif what == "bring back":
                term.bring_back()
            else:
                self.offer.remove_term(term)

    @precondition(lambda self: self.offer.buckets and self.offer.terms)
    @rule(minimum=few, maximum=few, required=st.booleans(), data=st.data())
    def several_at_once(self, minimum: int, maximum: int, required: bool, data: st.DataObject) -> None:
        with self.act(), self.offer.stays_buyable():
            self.offer.set_bucket_limits(minimum, maximum)
            self.offer.set_required(self._bucket(data), required)
            data.draw(st.sampled_from(self.offer.terms)).set_buckets(self._sessions(data))

    @rule(on_sale=st.booleans())
    def turn_offer(self, on_sale: bool) -> None:
        with self.act():
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
TestManager.settings = settings(max_examples=50, stateful_step_count=25)
