"""Stripe: what becomes of a subscription. It is announced, and credits nothing.

Sources: docs.stripe.com/api/subscriptions, docs.stripe.com/billing/subscriptions/cancel,
docs.stripe.com/billing/subscriptions/pause-payment, docs.stripe.com/changelog/basil (periods of the items).
"""

from datetime import datetime

from models.payments.facts import Announced, Change, Fact
from webhooks.processors import announcing, strict
from webhooks.processors.base import Object, Processor
from webhooks.processors.events import Ignored

BEFORE = "previous_attributes"
"""Under which an event says what its object was like before; kept with the object."""


class Subscriptions(Processor):
    """The meaning of Stripe's events of subscriptions."""

    def subscription_updated(self, subscription: Object, at: datetime) -> list[Fact]:
        """An end that is to come, or that was taken back."""
        if subscription.get("status") == "canceled":
            return self.subscription_deleted(subscription, at)
        reference, ends_at = strict.name(subscription, "id"), _end_to_come(subscription)
        if ends_at:
            return [announcing.ends(reference, at, ends_at)]
        before = strict.mapping(subscription, BEFORE)
        # A thin event does not say what was before.
        if before and not (before.get("cancel_at") or before.get("cancel_at_period_end")):
            raise Ignored("its end is as before: none is to come")
        return [Announced(reference, at, Change.GOES_ON)]

    def subscription_deleted(self, subscription: Object, at: datetime) -> list[Fact]:
        """It ended."""
        ended_at = _moment(subscription, "ended_at") or _moment(subscription, "canceled_at") or at
        return [announcing.ends(strict.name(subscription, "id"), at, ended_at)]

    def subscription_rests(self, what: Change, subscription: Object, at: datetime) -> list[Fact]:
        """It was paused or resumed. (`pause_collection` is neither: that is free service.)"""
        return [Announced(strict.name(subscription, "id"), at, what)]


def _end_to_come(subscription: Object) -> datetime | None:
    """When it will end: since Basil the periods are those of its items. None where no end is to come."""
    if at := _moment(subscription, "cancel_at"):
        return at
    if subscription.get("cancel_at_period_end") is not True:
        return None
    holders = [subscription, *strict.objects(strict.mapping(subscription, "items"), "data")]
    ends = [end for holder in holders if (end := _moment(holder, "current_period_end"))]
    if not ends:
        raise Ignored("it ends with its period, but does not say when: customer.subscription.deleted will")
    return max(ends)


def _moment(holder: Object, key: str) -> datetime | None:
    return strict.unix_time(holder, key) if holder.get(key) else None
