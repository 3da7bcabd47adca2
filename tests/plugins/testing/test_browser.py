from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from freshkey_testing import AuthorizationServer
from freshkey_testing.browser import approve_device, copy_address, copy_code, follow, visit
from loopback_server import Exchange, LoopbackServer


class Redirecting(LoopbackServer):
    def serve(self, exchange: Exchange) -> None:
        left = int(exchange.path.strip("/"))
        exchange.answer(302 if left else 418, headers={"Location": f"/{left - 1}"} if left else {})


@pytest.fixture
def redirects() -> Iterator[str]:
    with Redirecting() as server:
        yield server.url


def test_visit_does_not_follow_redirects(redirects: str) -> None:
    page = visit(f"{redirects}/1")
    assert (page.status, page.location) == (302, f"{redirects}/0")


def test_follow_ends_at_the_last_page_with_any_status(redirects: str) -> None:
    page = follow(f"{redirects}/3")
    assert (page.status, page.url) == (418, f"{redirects}/0")


def test_follow_stops_after_ten_redirects(redirects: str) -> None:
    with pytest.raises(ValueError, match="redirects"):
        follow(f"{redirects}/99")


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "http://example.com/", "file:///etc/passwd"])
def test_the_scripted_browser_stays_on_loopback(url: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        visit(url)


def test_copy_code_reads_the_page_of_the_last_url(server: AuthorizationServer) -> None:
    url = f"{server.urls.paste}?code=c%3C1%3E&state={quote('s&1')}"
    assert copy_code(["http://127.0.0.1:9/other", url]) == "c<1>#s&1"


def test_copy_code_without_a_code_is_an_error(server: AuthorizationServer) -> None:
    with pytest.raises(ValueError, match="404"):
        copy_code([f"{server.urls.issuer}/elsewhere"])


def test_copy_address_without_a_redirect_is_an_error(server: AuthorizationServer) -> None:
    with pytest.raises(ValueError, match="redirect"):
        copy_address([server.urls.authorize])


def test_approve_device_builds_the_url_if_there_is_no_complete_uri(server: AuthorizationServer) -> None:
    assert "user_code=NONE-SUCH" in approve_device("NONE-SUCH", server.urls.device_page, None).url
