"""`spp send`: test webhooks, delivered as a processor would."""

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

from console.cli import delivered, show
from console.cli.delivered import Answer
from console.cli.installed import Failed, data_folder, database, installed_settings
from console.cli.lookups import the_endpoint
from local import endpoints, home, samples, stacks
from models.members.lookup import the_member
from runtime.settings import Endpoint
from webhooks.correlation import DELIVERY_ID
from webhooks.processors import Delivery, adapter, processor_class

_AMOUNT = re.compile(rb'((?:value|amount\w*)"?\s*[:>]\s*"?)[0-9]')


@click.command()
@click.argument("endpoint")
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--sample", type=click.Choice(samples.NAMES), help="Instead of a file: a payment, and what happened to it later."
)
@click.option("--member", "email", metavar="EMAIL|ID", help="The member whose dues the sample pays.")
@click.option("--tamper", is_flag=True, help="Change the body after signing it.")
@click.option("--age", type=int, default=0, help="Sign with a timestamp this many seconds ago.")
@click.option("--url", help="The webhook server's address; by default that of `spp up`.")
@show.json_option
def send(
    endpoint: str, file: Any, sample: str | None, email: str | None, tamper: bool, age: int, url: str | None
) -> None:
    """Sign a body as the endpoint's processor would, and post it.

    FILE has the content to sign; - reads standard input. --sample and --member instead post a payment of the member's
    dues, alone or with its refund, dispute or late failure, one delivery after the other. Of a test member, it is dated
    by the member's clock.
    """
    if (file is None) == (sample is None) or (sample is None) != (email is None):
        raise click.UsageError("Give either FILE, or --sample and --member.")
    contents: Sequence[bytes] = [file.read()] if file else []
    with installed_settings(None) as loaded:
        known, data = the_endpoint(loaded, endpoint), data_folder()
        if sample and email:
            contents = _sample(known, sample, email)
        address = url or os.environ.get("SPP_WEBHOOKS_URL") or home.remembered_url(data)
        if address is None:
            raise Failed("There is no webhook server to post to: start `spp up`, or give --url.")
        processor = adapter(known)
        deliveries = [processor.sign(content, int(time()) - age) for content in contents]
        posted = [_tampered(one) if tamper else one for one in deliveries]
        answers = [_post(address, endpoint, one) for one in posted]
        results = delivered.results(processor, posted, answers)
    console = stacks.on(data)
    lines = [line for one in results for line in delivered.lines(one, console.console if console else None)]
    answered = [one.as_json() for one in results]
    show.answer(answered[0] if file else answered, *lines)
    if not all(200 <= answer.status < 300 for answer in answers):
        raise click.exceptions.Exit(1)


def _sample(endpoint: Endpoint, name: str, email: str) -> Sequence[bytes]:
    """The contents of the sample for that member. What its API would return is given to the API's stand-in."""
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
        now = membership.member.clock(datetime.now(UTC))
        made = samples.sample(
            endpoint.processor, name, reference=reference, number=str(int(time() * 1000)), now=now,
            amount_minor=membership.terms_at(now).dues_minor, currency=membership.currency,
            account=endpoint.account, digits=processor_class(endpoint).digits,
        )  # fmt: skip
    endpoints.put_api_objects(data_folder(), endpoint, made)
    return [one.content for one in made]


def _tampered(delivery: Delivery) -> Delivery:
    """The delivery with another amount, or with a space at its end if no amount is found in it."""
    changed = _AMOUNT.sub(rb"\g<1>7", delivery.body)
    return delivery._replace(body=changed if changed != delivery.body else delivery.body + b" ")


def _post(address: str, endpoint: str, delivery: Delivery) -> Answer:
    try:
        request = Request(f"{address}/webhooks/{endpoint}", delivery.body, delivery.headers)  # noqa: S310
        with urlopen(request, timeout=15) as response:  # noqa: S310 -- the user names the address
            return Answer(response.status, response.read().decode(), response.headers.get(DELIVERY_ID, ""))
    except HTTPError as error:
        return Answer(error.code, error.read().decode(errors="replace"), error.headers.get(DELIVERY_ID, ""))
    except (URLError, OSError, HTTPException, ValueError) as error:
        raise Failed(f"{address} does not answer: {error}. Start `spp up`, or give --url.") from None
