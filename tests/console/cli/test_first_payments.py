"""awaiting, sign-up-link: how first payments find their memberships."""

from tests.console.conftest import Spp


def test_a_sign_up_link_and_who_awaits(gym: Spp) -> None:
    shown = gym("sign-up-link", "ann@example.com", "--json").json
    assert shown["code"].startswith("m_")
    assert gym("sign-up-link", "ann@example.com").out.startswith(f"The code of membership {shown['membership']} is")
    assert shown["code"] in [one["code"] for one in gym("awaiting", "--days", "0", "--json").json]
    assert "(none)" in gym("awaiting").out


def test_a_page_that_cannot_be_made_says_why(gym: Spp) -> None:
    refused = gym("sign-up-link", "ann@example.com", "--make", "stripe")
    assert refused.code == 1
    assert "No page for the first payment was made at 'stripe'" in refused.err
