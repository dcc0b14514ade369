"""Bodies for people: everything in them as it was sent, but for card numbers and secrets, and no body breaks it."""

import base64
import html
import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inbox.masking import MAX_SHOWN, shown

CARDS = (
    "4111111111111111",
    "378282246310005",
    "30569309025904",
    "6011000990139424",
    "4222222222222",
    "6304000000000000000",
)
MIB = 1024 * 1024


def luhn(digits: str) -> bool:
    """The check of card numbers, in other words than ours."""
    total = 0
    for place, letter in enumerate(reversed(digits)):
        product = int(letter) * (1 + place % 2)
        total += product // 10 + product % 10
    return total % 10 == 0


ISSUERS = {
    "Visa": (["4"], (13, 16, 18, 19)),
    "Mastercard": ([*map(str, range(51, 56)), *map(str, range(2221, 2721))], (16,)),
    "American Express": (["34", "37"], (15,)),
    "Discover": (["6011", "65", *map(str, range(644, 650))], range(16, 20)),
    "Diners Club": (["3095", "36", "38", "39", *map(str, range(300, 306))], range(14, 20)),
    "JCB": ([*map(str, range(3528, 3590))], range(16, 20)),
    "UnionPay": (["62"], range(16, 20)),
    "Maestro": (["50", "56", "57", "58", "6"], range(12, 20)),
    "Mir": (["2200", "2201", "2202", "2203", "2204"], range(16, 20)),
}


@st.composite
def cards(draw: st.DrawFn) -> str:
    prefixes, lengths = draw(st.sampled_from(list(ISSUERS.values())))
    start, size = draw(st.sampled_from(prefixes)), draw(st.sampled_from(lengths))
    start += draw(st.text("0123456789", min_size=size - 1 - len(start), max_size=size - 1 - len(start)))
    return next(start + last for last in "0123456789" if luhn(start + last))


SEPARATORS = st.sampled_from(["", " ", "-", " - ", "\N{NO-BREAK SPACE}"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Nd"]), max_size=20)


def stands_in(card: str, text: str) -> bool:
    """Whether a person could read the number there, grouped or not, escaped or not."""
    text = re.sub(r"\\u00(3\d)", lambda match: chr(int(match[1], 16)), html.unescape(text))
    return re.search(r"[\s\u00a0-]{0,3}".join(card), text) is not None


@given(cards(), SEPARATORS, TEXTS.filter(lambda left: not re.search(r"[A-Z_=:-]\W*$", left, re.ASCII)), TEXTS)
def test_a_card_number_never_comes_out_whole(card: str, between: str, left: str, right: str) -> None:
    grouped = between.join(card[start : start + 4] for start in range(0, len(card), 4))
    text = f"{left}{grouped}{right}"
    escaped = "".join(f"\\u00{ord(letter):02x}" for letter in grouped)
    entities = "".join(f"&#{ord(letter)};" for letter in grouped)
    xml = f"<a n='{grouped}'>{grouped}<b n='{entities}'/>{entities}<![CDATA[{grouped}]]><!-- {grouped} --></a>"
    bodies = [
        text,
        f"<{text}",
        f'["{escaped}", {{"{escaped}": {int(card)}}}]',
        json.dumps({f"{text}.": [text, json.dumps(text)]}),
        json.dumps({f"{text}.": text}, ensure_ascii=False),
        urlencode({f"{text}.": text, "n": grouped}),
        xml,
        "bt_payload=" + base64.b64encode(xml.encode()).decode(),
    ]
    for body in bodies:
        assert not stands_in(card, shown(body.encode())), body


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**11), 10**11)
    | st.floats(0, 1e6)
    | TEXTS.filter(lambda t: "=" not in t and ":" not in t)
)
NAMES = st.sampled_from(["id", "amount", "token_type", "cvc_check", "secretary", "account", "created", ""])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4))


@given(VALUES, st.booleans())
def test_json_comes_out_with_all_its_values(value: object, escaped: bool) -> None:
    sent = json.dumps(value, ensure_ascii=escaped)
    assert json.loads(shown(sent.encode())) == value
    assert "".join(shown(sent.encode()).split()) == "".join(sent.split())


@given(st.binary(max_size=200) | st.text("<>/&=!-[]{}:,\"'\\ atoken%3c0", max_size=60).map(str.encode))
def test_anything_at_all_is_shown(body: bytes) -> None:
    told = shown(body)
    assert all(ord(letter) > 159 or letter.isprintable() or letter in "\t\n\r" for letter in told)
    told.encode()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"", ""),
        (b"\xff\x00", "\N{REPLACEMENT CHARACTER}" * 2),
        (b'{"a":{},"b":[1,{"c":null}]}', '{\n  "a": {},\n  "b": [\n    1,\n    {\n      "c": null\n    }\n  ]\n}'),
        (b'"one \\" : [,{"', '"one \\" : [,{"'),
        (b"12", "12"),
        (b"2026-11-12 08 00 01", "2026-11-12 08 00 01"),
        (b'{"a":"x\ny"}', '{\n  "a": "x\ny"\n}'),
        (b"a=%1b[2J", "a=\N{REPLACEMENT CHARACTER}[2J"),
        (b'{"a":', '{"a":'),
        (b"[1.1125369292536007e-308]", "[\n  1.1125369292536007e-308\n]"),
        (b'{"a":1.10,"a":NaN}', '{\n  "a": 1.10,\n  "a": NaN\n}'),
        (b"9" * 10_000, "9" * 10_000),
        (b"a=1&b=%3C2%3E+3&c=", "a=1\nb=<2> 3\nc="),
        (b"<a><b>1</b><c/>\n <d>x<e>y</e></d></a>", "<a>\n  <b>1</b>\n  <c/>\n  <d>x\n    <e>y</e>\n  </d>\n</a>"),
        (b"<?xml version='1'?><!-- & --><a k='v'></a>", "<?xml version='1'?>\n<!-- & -->\n<a k='v'></a>"),
        (b"id 8835511210681325, 2026-11-12 08:00:00, 89.00 USD", None),
        (b'{"id":"pi_123","at":"2026-11-12T08:00:00.123456Z","amount":8900}', None),
    ],
    ids=range(17),
)
def test_a_body_is_readable(sent: bytes, told: str | None) -> None:
    assert shown(sent) == told or told is None
    assert "*" not in shown(sent)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ('{"client_secret":"x1x"}', '"client_secret": "****"'),
        ('{"accessToken":"x1x","n":1}', '"n": 1'),
        ('{"cvc":123,"cvc_check":"pass"}', '"cvc_check": "pass"'),
        ('{"api-key":null,"password":""}', '"api-key": null,\n  "password": ""'),
        ('{"secret":{"a":["x1x",{"b":"x2x"}]},"c":"kept"}', '"c": "kept"'),
        ('{"client\\u005fsecret":"x1x"}', '"****"'),
        ('{"iban":"DE89370400440532013000","account_number":12345678901}', '"****3000",\n  "account_number": ****8901'),
        ('{"accountNumber":"1234"}', '"****"'),
        ('{"url":"https://a/?access_token=x1x&b=kept"}', "b=kept"),
        ('{"inner":"{\\"password\\": \\"x1x\\", \\"b\\": 1}"}', '\\"b\\": 1'),
        ("password=x1x&card[cvc]=123&b=kept", "password=****\ncard[cvc]=****\nb=kept"),
        ("<a><client-secret>x1x</client-secret><b token='x1x'>kept</b></a>", "<client-secret>****</client-secret>"),
        ("<a><password><![CDATA[x1x]]></password></a>", "****"),
        ('{"broken": 1, "client_secret": "x1x"', '"broken": 1'),
        ("Authorization: Bearer x1x.x2x\nHost: kept", "Host: kept"),
        (f'{{"secret":["x1x"],"n":{"9" * 5000}}}', "9" * 5000),
        (
            f"bt_signature=x1x&bt_payload={base64.encodebytes(b'<a><b>1</b></a>').decode().strip()}",
            "bt_signature=****\nbt_payload=\n<a>\n  <b>1</b>\n</a>",
        ),
        (
            '{"number":"4111 1111 1111 1111","also":4111111111111111}',
            '"**** **** **** 1111",\n  "also": ************1111',
        ),
    ],
    ids=range(18),
)
def test_what_is_named_as_a_secret_is_masked(sent: str, told: str) -> None:
    text = shown(sent.encode())
    assert told in text
    for secret in ("x1x", "x2x", "123,", ">123<", "DE89", "12345678", '"1234"'):
        assert secret not in text


@pytest.mark.parametrize(
    "sent",
    [
        "<a>&#4111111111111111</a>",
        '["\\u4111111111111111"]',
        '["\\u00e54111111111111111"]',
        "a=%C3%A54111111111111111",
        "https://a/?b=%C3%A54111111111111111 and so on",
        "4111+1111+1111+1111 x",
        "id 1234-4111111111111111",
        "2026-11-12 4111 1111 1111 1111 01",
        '{"4111111111111111": 4111111111111111.00}',
        "x4111111111111111y",
    ],
    ids=range(10),
)
def test_a_card_number_is_found_beside_other_digits(sent: str) -> None:
    assert "1111111" not in re.sub(r"[ +-]", "", shown(sent.encode()))
    assert "1111" in shown(sent.encode())


ID_FIELDS = (
    '{"id":"$"}',
    '{"id": $}',
    '{"pspReference":"$"}',
    '{"retry.rescueReference":"$"}',
    '{"merchantReference":"$"}',
    '{"refTransId":"$"}',
    '{"data":{"payment":"$","references":["a","$"]}}',
    '{"order":{"order_id":"$"}}',
    '{"order":{"number":"$","customer":"$"}}',
    "<invoice><number>$</number></invoice>",
    '{"receipt_number":"$"}',
    '{"arn":"$"}',
    '{"card":{"network_transaction_id":"$"}}',
    '{"invoice":"in_$"}',
    "txn_id=$&b=1",
    "live=true&pspReference=$",
    "<a><order-id>$</order-id></a>",
    "<a><id>\n$</id><b id='$'/></a>",
    '{"broken":"pspReference", "id": "$"',
    '{"reason":"Payment.TxId=$ disputed"}',
    '{"url":"https://a/?order_id=$&b=c"}',
    '{"note":"see pi_$, in_Ab1$ and WH-$"}',
    '{"key":"BARC$"}',
    "<a>sub_$</a>",
)


@pytest.mark.parametrize("field", ID_FIELDS, ids=range(len(ID_FIELDS)))
@settings(max_examples=20)
@given(number=cards())
def test_an_id_stays_though_it_is_like_a_card(number: str, field: str) -> None:
    sent = field.replace("$", number)
    assert shown(sent.encode()).count(number) == sent.count(number)
    assert "*" not in shown(sent.encode())


def passing(prefix: str, size: int) -> str:
    start = prefix.ljust(size - 1, "0")
    return next(start + last for last in "0123456789" if luhn(start + last))


@pytest.mark.parametrize("issuer", ISSUERS)
def test_each_issuers_first_and_last_cards_are_hidden(issuer: str) -> None:
    prefixes, lengths = ISSUERS[issuer]
    for card in (passing(prefix, size) for prefix in (prefixes[0], prefixes[-1]) for size in lengths):
        assert shown(f"see {card} there".encode()) == f"see {'*' * (len(card) - 4)}{card[-4:]} there"


@pytest.mark.parametrize(
    ("prefix", "size"),
    [
        ("4", 12),
        ("4", 14),
        ("4", 15),
        ("51", 15),
        ("55", 17),
        ("2220", 16),
        ("2721", 16),
        ("34", 14),
        ("37", 16),
        ("35", 15),
        ("3527", 16),
        ("3590", 16),
        ("306", 14),
        ("3094", 14),
        ("36", 13),
        ("6", 11),
        ("2199", 16),
        ("2205", 16),
    ],
)
def test_what_is_next_to_an_issuers_cards_stays(prefix: str, size: int) -> None:
    assert shown(passing(prefix, size).encode()) == passing(prefix, size)


@given(st.integers(10**12, 10**19 - 1).map(str).filter(lambda n: n[0] in "179" and not n.startswith("1800")))
def test_a_number_of_no_issuer_stays(number: str) -> None:
    assert shown(f"refused, see {number} there".encode()) == f"refused, see {number} there"


PAYPAL = st.text("012345678901234567890123456789ABCDEFGH", min_size=17, max_size=17)


@given(st.uuids().map(str) | st.tuples(PAYPAL, PAYPAL).map("WH-{0[0]}-{0[1]}".format), st.sampled_from(["id", "a_ID"]))
def test_an_id_of_digits_in_groups_stays(made: str, name: str) -> None:
    assert json.loads(shown(json.dumps({name: made}).encode())) == {name: made}


IDS_OF_GROUPS = st.sampled_from([("", [8], ""), ("WH-2WR", [7], "FL4"), ("", [5], ""), ("a", [4, 10], "b")])


@given(cards().filter(lambda card: len(card) == 16), IDS_OF_GROUPS)
def test_an_id_with_groups_that_no_card_has_stays(card: str, form: tuple[str, list[int], str]) -> None:
    left, cuts, right = form
    groups = [card[start:end] for start, end in zip([0, *cuts], [*cuts, 16], strict=True)]
    made = f"{left}{'-'.join(groups)}{right}"
    assert json.loads(shown(json.dumps({"id": made}).encode())) == {"id": made}


CARD_FIELDS = (
    '{"number":"$"}',
    '{"card":"$"}',
    '{"pan":"$"}',
    '{"cardNumber":"$"}',
    '{"card":{"id":"$","reference":["$"]}}',
    '{"card_id":"$"}',
    '{"credit-card":[{"a":"$"}]}',
    '{"card":"x_$"}',
    '{"reference":"card $"}',
    '{"id":"PAN:$"}',
    '{"order":{"note":"$"}}',
    '{"reference":"{\\"a\\": \\"$\\"}"}',
    "card[number]=$",
    "reference=by+visa+$",
    "<a><credit-card><number>$</number><id>$</id></credit-card></a>",
    "<a><id>paid with $</id></a>",
    '{"x":"Card_id=$"}',
    '{"x":"\\\\nA \\\\n$"}',
    '{"x":"see \\\\n$"}',
    '{"x":"VISA$, CARD-$, cc_$, no$"}',
    '{"x":"_$_"}',
    '{"x":"%0A$ %3D$"}',
    '{"x":"PAID: $"}',
    '{"x":"payment: $"}',
    '{"valid":"$","paid":"$"}',
    '{"card":{"a":"x_$","b":{"id":"$"}}}',
)


@pytest.mark.parametrize("between", ["", "-"])
@pytest.mark.parametrize("field", CARD_FIELDS, ids=range(len(CARD_FIELDS)))
@settings(max_examples=20)
@given(card=cards())
def test_a_card_is_hidden_where_it_is_named_or_noted(card: str, between: str, field: str) -> None:
    sent = field.replace("$", between.join(card[start : start + 4] for start in range(0, len(card), 4)))
    assert not stands_in(card, shown(sent.encode())), sent


@given(cards(), st.sampled_from(" -"), st.sampled_from(['{"id":"$"}', "reference=$", "<a><order-id>$</order-id></a>"]))
def test_a_card_written_as_one_is_hidden_in_a_field_of_ids_too(card: str, between: str, field: str) -> None:
    sent = field.replace("$", between.join(card[start : start + 4] for start in range(0, len(card), 4)))
    assert not stands_in(card, shown(sent.encode())), sent


@given(st.integers(10**11, 10**18 - 1).map(str), st.sampled_from(["card", "number", "pan"]))
def test_in_a_field_of_cards_the_check_is_enough(start: str, name: str) -> None:
    card = next(start + last for last in "0123456789" if luhn(start + last))
    assert card not in shown(json.dumps({name: card}).encode())


@pytest.mark.parametrize("card", CARDS)
def test_of_a_card_the_last_four_digits_are_left(card: str) -> None:
    assert luhn(card)
    assert shown(card.encode()) == "*" * (len(card) - 4) + card[-4:]


@pytest.mark.parametrize(
    "start",
    [
        b"[" * 900 + b'{"password":"x1x"},',
        b'[{"password":"x1x"},"',
        b"1111 ",
        b"411-",
        b"<!--",
        b"<a>",
        b"token ",
        b'{"password":"x1x","a":' + b"[" * 100_000,
        b"a=",
        b'secret="',
        b"\xff",
        b"\\u0034",
    ],
    ids=range(12),
)
def test_a_large_body_is_cut(start: bytes) -> None:
    for body in (start * (MIB // len(start)), start + start[-1:] * MIB):
        text = shown(body)
        assert len(text) < MAX_SHOWN + 100
        assert "x1x" not in text
        assert len(text) < MAX_SHOWN or text.endswith(f"{len(body)} bytes in all")


def test_what_is_nested_too_deep_to_be_read_is_shown_line_by_line() -> None:
    assert shown(b'[{"a":' * 50_000).startswith('[\n  {\n    "a": [\n      {\n')
