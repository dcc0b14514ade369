"""A membership's code as a QR code, and the card with it that a member shows at the desk."""

import segno
from flask.blueprints import BlueprintSetupState
from markupsafe import Markup

from console.web import forms, membership_page
from console.web.access import Answer, Pages, Role

pages = Pages("cards", __name__, url_prefix="/memberships")


def qr(code: str) -> Markup:
    """The QR code as inline SVG, dark on white in every theme, because scanners need that."""
    drawn = segno.make_qr(code).svg_inline(scale=4, border=3, dark="#000", light="#fff", omitsize=True, svgclass="qr")
    return Markup(drawn)  # noqa: S704 -- segno's own markup, in which nobody's text stands


@pages.record_once
def drawing(state: BlueprintSetupState) -> None:
    """Give templates the QR code."""
    state.app.jinja_env.globals["qr"] = qr


@pages.page("/<id:membership_id>/card", Role.DESK)
def show(membership_id: int) -> Answer:
    """The card, to be printed."""
    return forms.page("memberships/card.html", membership=membership_page.find(membership_id))
