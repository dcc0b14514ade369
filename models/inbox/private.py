"""Rules for masking: card numbers wherever they are, and values whose name says that they are secret.

A card number has the length and first digits of an issuer's cards, and passes the Luhn check. A number that does so by
chance stays visible if its name says that it is an id (`pspReference`), or if an id's prefix precedes it (`in_`,
`WH-`), because people find payments by these. In a field named for cards (`card`, `pan`, `number`) the Luhn check
alone is enough.
"""

import re
from enum import Enum
from functools import partial

HIDDEN = "****"
SHOWN_AT_THE_END = 4
"""The last characters of a card or account number, by which people recognize it."""

_SHORTEST_CARD, _LONGEST_CARD = 12, 19
_ISSUED = re.compile(
    r"""4(?:\d{12}|\d{15}|\d{17,18})  # Visa
      | 5[1-5]\d{14} | 2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}  # Mastercard
      | 3[47]\d{13}  # American Express
      | (?:30[0-5]\d|3095|3[689]\d\d)\d{10,15}  # Diners Club
      | 35(?:2[89]|[3-8]\d)\d{12,15} | (?:2131|1800)\d{11,15}  # JCB
      | 220[0-4]\d{12,15}  # Mir
      | 8[12]\d{12,17}  # UnionPay, RuPay
      | (?:5[06-9]|6\d)\d{10,17}  # Maestro; Discover, UnionPay, RuPay, Elo, Hipercard, Verve""",
    re.VERBOSE,
)
"""Lengths and first digits of cards, after Braintree's table for card forms (credit-card-type, src/lib/card-types.ts);
added are the old ones of Visa (13 digits), Diners Club (3095) and JCB (15 digits), and RuPay's."""

_GROUPS = r"\d+(?:[ +\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}\N{EN DASH}-]{1,3}\d+)*"
_DIGITS = re.compile(_GROUPS)
_BEHIND_ESCAPES = re.compile(
    rf"(?:(?<=\\u[0-9a-f]{{4}})|(?<=\\x[0-9a-f]{{2}})|(?<=%[0-9a-f]{{2}})){_GROUPS}", re.IGNORECASE
)
"""Numbers after an escape: its hex digits do not count as part of the number that follows."""
_GROUP = re.compile(r"\d+")
_SHORTEST_GROUP, _LONGEST_GROUP = 3, 6
"""Card numbers are written in groups of at least three digits, except the last; dates and times are not. In a field of
ids, a group of more than six digits belongs to an id."""

_HIDDEN_NAME = "token|secret|password|passphrase|authorization|signature|api[_-]?key|private[_-]?key"
_CODE = "cvc2?|cvv2?|card[_-]?code|security[_-]?code"
_ACCOUNT = "account[_-]?number|iban"
_CARD_NAME = re.compile(r"card|(?<![a-z])(?:pan|cc)(?![a-z])|^number$", re.IGNORECASE)
_ID = r"""(?:\b|(?<=_)|(?<=[a-z])(?=[A-Z]))(?i:ids?|uu?id|guid|arn
    |(?:order|invoice|receipt|transaction|tracking|ref(?:erence)?)s?(?:[_-]?(?:number|no|code))?)"""
_ID_NAME = re.compile(f"{_ID}$ | ^(?:payment|cause|charge|refund|subscription|customer|mandate)$", re.VERBOSE)
_BILL_NAME = re.compile(r"^(?:order|invoice|receipt|credit[_-]?note)$", re.IGNORECASE)
"""Of what the `number` is an id."""
_ONE_WORD = re.compile(r"\s*\"?[\w.:/|#+-]*\"?\s*")
_BEFORE_ID = re.compile(
    rf"""(?: (?<!\w) (?: \w*[A-Z] | \w*[A-Za-z]\w*_ | [A-Z]{{1,6}}- )
           | {_ID} ["'\]]{{0,2}}\s{{0,3}}[:=]\s{{0,3}}["']? )$""",
    re.VERBOSE | re.ASCII,
)
"""Ends as `BARC`, `in_`, `WH-`, `order_id=` do; but not where a card is named:"""
_CARD_WORD = re.compile(
    r"card|kart|carte|credit|debit|visa|master|maestro|amex|(?<![a-z])(?:pan|cc|jcb|n[or]|num|number)(?![a-z])",
    re.IGNORECASE,
)
_LOOKED_BACK = 40
_IN_WORD = re.compile(r"[\w-]{2}")
"""What stands around groups of an id of letters and digits, as PayPal's WH-2WR32451HC0233532-67976317FL4543714."""
_SECRET_NAME, _ACCOUNT_NAME = (
    re.compile(f"(?:{ends})$", re.IGNORECASE) for ends in (f"{_HIDDEN_NAME}|{_CODE}", _ACCOUNT)
)
_NAMED = re.compile(
    rf"""(?P<name>{_HIDDEN_NAME}|{_CODE}|{_ACCOUNT}) ["'\]]{{0,2}}\s{{0,3}}[:=]\s{{0,3}}
        (?: "(?P<quoted>(?:\\.|[^"\\])*) | '(?P<single>[^']*)
          | (?P<bare>(?:(?:Basic|Bearer|Digest)[ ])?[^\s"',;&<>{{}}\[\]]+) )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


class Rule(Enum):
    """How much of a value may be seen: all but card numbers (in notes, ids, bills, cards each its way), or less."""

    ALL = "all"
    ID = "id"
    BILL = "bill"
    CARD = "card"
    END = "end"
    NOTHING = "nothing"


def rule_of(name: str, around: Rule = Rule.ALL) -> Rule:
    """How much of a value of this name may be seen: nothing of `client_secret` or `apiKey`, the end of an `iban`.

    `around` is the rule of what it stands in: all in a secret is secret, and the `id` of a `card` may be its number.
    """
    if around in (Rule.NOTHING, Rule.END):
        return around
    name = name.rstrip("]")
    if _SECRET_NAME.search(name):
        return Rule.NOTHING
    if _ACCOUNT_NAME.search(name):
        return Rule.END
    if around is Rule.BILL and name.lower() == "number":
        return Rule.ID
    if _CARD_NAME.search(name):
        return Rule.CARD
    if around is not Rule.CARD and _BILL_NAME.search(name):
        return Rule.BILL
    found = _ID_NAME.search(name)
    if found and (found.start() or around is not Rule.CARD):
        return Rule.ID
    return Rule.CARD if around is Rule.CARD else Rule.ALL


def masked(value: str, rule: Rule = Rule.ALL) -> str:
    """A value as it may be seen: by its rule, and never with a card's number or a named secret in it."""
    if rule not in (Rule.NOTHING, Rule.END) or not value.strip():
        return without_cards(_NAMED.sub(_without_named, value), rule)
    known_by = value[-SHOWN_AT_THE_END:] if rule is Rule.END and len(value) > 2 * SHOWN_AT_THE_END else ""
    return HIDDEN + known_by


def without_cards(text: str, rule: Rule = Rule.ALL) -> str:
    """The text with all but the last four digits of every card's number in it starred out; by the rule of its name."""
    rule = Rule.ID if rule is Rule.BILL else rule
    if rule is Rule.ID and (_CARD_WORD.search(text) or not _ONE_WORD.fullmatch(text)):
        rule = Rule.ALL  # a note, not an id
    starred = _DIGITS.sub(partial(_starred, rule=rule), text)
    return _BEHIND_ESCAPES.sub(partial(_starred, rule=rule, escaped=True), starred)


def _without_named(match: re.Match[str]) -> str:
    kind = match.lastgroup or "name"
    start = match.start(kind) - match.start()
    return match[0][:start] + masked(match[kind], rule_of(match["name"]))


def _starred(match: re.Match[str], rule: Rule, escaped: bool = False) -> str:
    text = match[0]
    groups = [group.span() for group in _GROUP.finditer(text)]
    numbers = ["".join(str(int(digit)) for digit in text[start:end]) for start, end in groups]
    hidden: set[int] = set()
    for first in range(len(groups)):
        number = ""
        for last in range(first, len(groups)):
            number += numbers[last]
            if len(number) > _LONGEST_CARD:
                break
            among = groups[first : last + 1]
            if len(number) >= _SHORTEST_CARD and _is_card(number, rule) and not _is_id(match, among, rule, escaped):
                hidden.update([place for start, end in among for place in range(start, end)][:-SHOWN_AT_THE_END])
            if len(numbers[last]) < _SHORTEST_GROUP:
                break
    return "".join("*" if place in hidden else letter for place, letter in enumerate(text)) if hidden else text


def _is_id(match: re.Match[str], groups: list[tuple[int, int]], rule: Rule, escaped: bool) -> bool:
    """Whether a field's name, or what stands around these groups of digits, says that they are an id."""
    if rule is Rule.CARD:
        return False
    before = match.string[max(match.start() - _LOOKED_BACK, 0) : match.start()]
    if rule is Rule.ID:
        ends = before[-1:] + match.string[match.end() : match.end() + 1]
        long = any(end - start > _LONGEST_GROUP for start, end in groups)
        return len(groups) == 1 or long or bool(_IN_WORD.fullmatch(ends))
    if escaped or len(groups) > 1 or groups[0][0] > 0:
        return False
    return bool(_BEFORE_ID.search(before)) and not _CARD_WORD.search(before.split(" ")[-1])


def _is_card(number: str, rule: Rule) -> bool:
    """Whether the number is some issuer's, where no name says so, and passes the check of card numbers, after Luhn."""
    if rule is not Rule.CARD and not _ISSUED.fullmatch(number):
        return False
    digits = list(map(int, number))
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
