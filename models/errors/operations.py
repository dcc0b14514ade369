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


class UnknownErrorGroup(SppError, field="group"):
    """There is no error group {name!r}: use a name as the list of error groups has it."""


class OnlyTroubledDiscarded(SppError):
    """Only failed and quarantined events can be discarded: ask for one of these states."""


class OnlyQuarantinedLetThrough(SppError):
    """Only quarantined events can be let through: ask for that state."""
