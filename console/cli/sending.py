"""`spp send`: webhooks as a processor would deliver them, for trying things out."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from time import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import click

from console.cli import show
from console.cli.installed import DATA, Failed, database, json_option, the_member
from local import endpoints, home, samples
from models.errors import NotFound
from models.members.memberships import Membership
from runtime import settings
from runtime.settings import Endpoint
from webhooks.processors import Delivery, adapter, processor_class

_AMOUNT = re.compile(rb'((?:value|amount\w*)"?\s*[:>]\s*"?)[0-9]')


@click.command()
@click.argument("endpoint")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--sample", type=click.Choice(samples.NAMES), help="Instead of a file: a payment, and what became of it.")
@click.option("--member", "email", metavar="EMAIL", help="Whose dues the sample pays.")
@click.option("--tamper", is_flag=True, help="Change the body after signing it.")
@click.option("--age", type=int, default=0, help="Sign with a timestamp so many seconds ago.")
@click.option("--url", help="The webhook server's address; by default that of `spp up`.")
@json_option
def send(
    endpoint: str, file: Any, sample: str | None, email: str | None, tamper: bool, age: int, url: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Sign a body as the endpoint's processor would, and post it.

    FILE holds what is to be signed; - reads standard input. Or --sample and --member: a ready payment of
    the member's dues, alone or with its refund, dispute or late failure, each delivery in turn.
    """
    if (file is None) == (sample is None) or (sample is None) != (email is None):
        raise click.UsageError("Give either FILE, or --sample and --member.")
    contents: Sequence[bytes] = [file.read()] if file else []
    with home.installation(DATA) as environment:
        os.environ.update(environment)
        known = settings.load().endpoint(endpoint)
        if known is None:
            raise NotFound(what="endpoint", name=endpoint)
        if sample and email:
            contents = _sample(known, sample, email)
    address = url or os.environ.get("SPP_WEBHOOKS_URL") or home.remembered_url(DATA)
    if address is None:
        raise Failed("There is no webhook server to post to: start `spp up`, or give --url.")
    processor = adapter(known)
    deliveries = [processor.sign(content, int(time()) - age) for content in contents]
    answers = [_post(address, endpoint, _tampered(one) if tamper else one) for one in deliveries]
    if as_json:
        shown = [{"status": status, "body": text} for status, text in answers]
        show.as_json(shown[0] if file else shown)
    else:
        for status, text in answers:
            click.echo(f"{status} {text or 'stored'}")
    if not all(200 <= status < 300 for status, _ in answers):
        raise click.exceptions.Exit(1)


def _sample(endpoint: Endpoint, name: str, email: str) -> Sequence[bytes]:
    """The sample's contents for that member; what its API would tell of it is put where the stand-in finds it."""
    with database() as session:
        held = [
            (membership, billing.reference)
            for membership in the_member(session, email).memberships
            for billing in membership.billing
            if billing.endpoint == endpoint.name
        ]
        if not held:
            raise Failed(
                f"{email} has no billing reference on endpoint {endpoint.name!r}: "
                f"spp link {endpoint.name}:REFERENCE {email}"
            )
        membership, reference = held[0]
        made = _make(endpoint, name, membership, reference)
    endpoints.put_api_objects(DATA, endpoint, made)
    return [one.content for one in made]


def _make(endpoint: Endpoint, name: str, membership: Membership, reference: str) -> list[samples.Sample]:
    return samples.sample(
        endpoint.processor,
        name,
        reference=reference,
        number=str(int(time() * 1000)),
        now=datetime.now(UTC),
        amount_minor=membership.terms_at(datetime.now(UTC)).dues_minor,
        currency=membership.currency,
        account=endpoint.account,
        digits=processor_class(endpoint).digits,
    )


def _tampered(delivery: Delivery) -> Delivery:
    """The delivery with another amount, where it can be seen in it, or else with something behind it."""
    changed = _AMOUNT.sub(rb"\g<1>7", delivery.body)
    return delivery._replace(body=changed if changed != delivery.body else delivery.body + b" ")


def _post(address: str, endpoint: str, delivery: Delivery) -> tuple[int, str]:
    try:
        request = Request(f"{address}/webhooks/{endpoint}", delivery.body, delivery.headers)  # noqa: S310
        with urlopen(request, timeout=15) as response:  # noqa: S310 -- the user names the address
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (URLError, OSError, HTTPException, ValueError) as error:
        raise Failed(f"{address} does not answer: {error}") from None
