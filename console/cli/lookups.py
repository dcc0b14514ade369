"""Lookups of what the arguments of commands name."""

from collections.abc import Iterable
from textwrap import shorten
from typing import TypeVar

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from console.cli.installed import Failed
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import Offer
from models.members.lookup import id_given
from runtime.settings import Endpoint, Settings

Named = TypeVar("Named", Club, Item, Offer)


def endpoint_and_reference(text: str) -> tuple[str, str]:
    """The two parts of ENDPOINT:REFERENCE. Raises BadParameter."""
    endpoint, colon, reference = text.partition(":")
    if not endpoint or not colon or not reference:
        raise click.BadParameter(f"{text!r} is not of the form ENDPOINT:REFERENCE")
    return endpoint, reference


def unknown(what: str, name: str, known: Iterable[str]) -> Failed:
    """The refusal of a name, with the names that exist."""
    names = shorten(", ".join(known), 400, placeholder=" ...")
    return Failed(f"There is no {what} {name!r}. " + (f"There are: {names}." if names else "There are none yet."))


def the_endpoint(loaded: Settings, name: str) -> Endpoint:
    """The configured endpoint of that name. Raises Failed."""
    found = loaded.endpoint(name)
    if found is None:
        raise unknown("endpoint", name, (one.name for one in loaded.endpoints))
    return found


def named(session: Session, kind: type[Named], name: str) -> Named:
    """The club, item or offer of that name; of another case, if none has it as it is written; or else with that id.

    Raises Failed.
    """
    same = func.lower(kind.name) == name.lower()
    found = session.scalar(select(kind).where(same).order_by(kind.name != name).limit(1))
    if found is None and (number := id_given(name)):
        found = session.get(kind, number)
    if found is None:
        raise unknown(kind.__name__.lower(), name, session.scalars(select(kind.name).order_by(kind.name)))
    return found
