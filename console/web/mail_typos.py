"""Mistyped e-mail domains: what a person at the desk is asked about before a member is signed up with one."""

from difflib import get_close_matches

_OFTEN_MISTYPED = ("gmail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "googlemail.com")
_ALIKE = frozenset({"mail.com", "email.com", "ymail.com", "yahoo.co", "yahoo.co.uk", "hotmail.co.uk", "cloud.com"})
"""Domains that exist, and look like one of those."""
_HOW_ALIKE = 0.85
"""Of 1: one letter too many, missing, wrong, or swapped with its neighbour."""


def meant(email: str) -> tuple[str, str] | None:
    """The domain of the address, and the well-known one that was probably meant; None where it looks right."""
    domain = email.rpartition("@")[2].strip().lower()
    if domain in _OFTEN_MISTYPED or domain in _ALIKE:
        return None
    close = get_close_matches(domain, _OFTEN_MISTYPED, n=1, cutoff=_HOW_ALIKE)
    return (domain, close[0]) if close else None
