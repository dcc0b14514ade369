"""The session cookie: the login, and the messages that the next page shows."""

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin

BACKGROUND = "X-Background"
"""The header of a request that a page's script makes by itself."""


class Cookies(SecureCookieSessionInterface):
    """Sessions in a signed cookie. The answer to a background request never writes it.

    Such an answer may arrive after that of the next page, and would bring back the cookie of before: with a message
    that was shown already, or a login that has ended. So a page that is only left open does not keep a login going.
    """

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the cookie, if a person asked."""
        if BACKGROUND not in request.headers:
            super().save_session(app, session, response)
