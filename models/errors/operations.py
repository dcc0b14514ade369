"""Events, queues and bulk actions."""

from models.errors.base import SppError


class AlreadyPaused(SppError):
    """{endpoint} is paused already."""


class NotPaused(SppError):
    """{endpoint} is not paused."""


class NotRepairable(SppError):
    """Event {ids} cannot be {verb}: {why}. Nothing was changed."""


class NothingMatches(SppError):
    """No event matches, so there is nothing to {verb}."""


class OnlyTroubledDiscarded(SppError):
    """Only failed and quarantined events can be discarded: ask for one of these states."""


class OnlyQuarantinedLetThrough(SppError):
    """Only quarantined events can be let through: ask for that state."""
