"""Square's deliveries: their signatures, and whose they are."""

import pytest

from runtime.settings import Endpoint, SettingsError
from tests.webhooks.deliveries import NOW, changed, endpoint, received
from tests.webhooks.processors.test_square import INVOICE, LIVE, RECORDED, TEST, URL, meaning
from webhooks.processors import Unusable, adapter
from webhooks.signatures import Invalid


class TestAccountAndMode:
    OURS = endpoint("square", "secret", account="MERCHANTGym0001", url=URL)

    @pytest.mark.parametrize("body", RECORDED.values(), ids=RECORDED)
    def test_another_merchant(self, body: bytes) -> None:
        for theirs in ("MERCHANTGym0002", "", None, 7, ["MERCHANTGym0001"], ...):
            with pytest.raises(Unusable, match="merchant_id"):
                meaning(body, self.OURS, event__merchant_id=theirs)

    def test_ours_counts(self) -> None:
        assert meaning(INVOICE, self.OURS) == meaning(INVOICE)

    def test_any_merchant_where_none_is_set(self) -> None:
        assert meaning(INVOICE, event__merchant_id="MERCHANTGym0002") == meaning(INVOICE)

    def test_from_the_other_environment(self) -> None:
        for on, ours, other in ((TEST, "Sandbox", "Production"), (LIVE, "Production", "Sandbox")):
            (part,) = on.parse(INVOICE, received({"Square-Environment": other}))
            assert part.event_id == "0b3e1f6a-Gym0001-0004"
            assert "environment, but the endpoint is in" in str(part.quarantine_reason)
            for fine in (ours, "", "elsewhere"):
                assert on.parse(INVOICE, received({"square-environment": fine})) == on.parse(INVOICE, {})


class TestSplit:
    def test_an_event(self) -> None:
        assert TEST.parse(INVOICE, {}) == [
            ("0b3e1f6a-Gym0001-0004", "invoice.payment_made", INVOICE, None, None, False)
        ]

    @pytest.mark.parametrize("key", ["event_id", "type"])
    @pytest.mark.parametrize("value", [None, "", 7, "a b", "x" * 256, ...])
    def test_without_an_id_or_type_it_is_kept_under_its_hash(self, key: str, value: object) -> None:
        (part,) = TEST.parse(changed(INVOICE, **{key: value}), {})
        assert part.event_id.startswith("sha256:")
        assert str(part.quarantine_reason).startswith("unparsable")


class TestNotificationUrl:
    @pytest.mark.parametrize("options", [{}, {"url": ""}, {"url": "gym.example"}, {"url": "httpx://gym.example"}])
    def test_it_must_be_set(self, options: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match=r"'gym'.*exactly.*Developer Dashboard.*gym=square:live,url=https"):
            adapter(Endpoint(name="gym", processor="square", mode="live", options=options))

    def test_it_is_part_of_what_is_signed_whatever_the_host_says(self) -> None:
        headers = received(TEST.sign(INVOICE, NOW).headers | {"Host": "proxy.internal"})
        assert TEST.verify(INVOICE, headers, NOW) is None
        for other in (URL + "/", URL.replace("https", "http"), URL.upper().replace("HTTPS", "https"), URL[:-1]):
            assert isinstance(endpoint("square", "secret", url=other).verify(INVOICE, headers, NOW), Invalid)

    def test_it_ends_where_the_body_begins(self) -> None:
        # Nothing separates the two; a shorter address with a longer body is another body, and no JSON.
        shorter = endpoint("square", "secret", url=URL[:-1])
        headers = received(TEST.sign(INVOICE, NOW).headers)
        assert shorter.verify(b"1" + INVOICE, headers, NOW) is None
        assert shorter.parse(b"1" + INVOICE, headers)[0].quarantine_reason
