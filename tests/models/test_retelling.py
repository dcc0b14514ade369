"""Retelling: what is stored in US English is told in the language of the page, with its values."""

import pytest

from models.errors import NotFound
from models.payments import sentences
from models.retelling import retold
from runtime.language import speaking
from tests.models.speech import spanish

SPANISH = spanish({
    sentences.LESS: "{billed}, menos que la cuota de {dues}",
    sentences.PAYER_ONLY: "{billed} de quien debe {dues}; sin suscripción",
    sentences.MEMBERSHIP_ENDED: "la membresía terminó el {day}",
    sentences.NOT_COUNTED: "{days} sin contar",
    sentences.UNMATCHED: "ninguna membresía tiene {references}",
    sentences.ANY_REFERENCE: "ninguna de sus referencias",
    "There is no {what} {name!r}.": "No existe: {what} {name!r}.",
    "membership": "membresía",
    "{n} frozen days": "{n} días congelados",
})  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("$79.00, less than the dues of $1,089.00", "79,00\xa0US$, menos que la cuota de 1.089,00\xa0US$"),
        ("RSD\xa079.00, less than the dues of ¥89", "79,00\xa0RSD, menos que la cuota de 89\xa0JPY"),
        ("$9.00 of a payer whose dues are $89.00; it names no subscription",
         "9,00\xa0US$ de quien debe 89,00\xa0US$; sin suscripción"),
        ("2 frozen days not counted; the membership ended on Jan 31, 2027",
         "2 días congelados sin contar; la membresía terminó el 31 ene 2027"),
        ("no membership has any of its references", "ninguna membresía tiene ninguna de sus referencias"),
        ("no membership has sub_{1}", "ninguna membresía tiene sub_{1}"),
        (str(NotFound(what="membership", name="it's")), 'No existe: membresía "it\'s".'),
        ("KeyError: nobody knows this", "KeyError: nobody knows this"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_stored_sentence_is_told_with_its_values(stored: str, told: str) -> None:
    with speaking(SPANISH):
        assert retold(stored) == told


def test_in_english_it_stays_as_it_is() -> None:
    assert retold("$79.00, less than the dues of $89.00") == "$79.00, less than the dues of $89.00"
