"""The pages and endpoints of a Django site with django-oauth-toolkit, and what it records; part of `django_server.py`.

In addition to the toolkit's own endpoints it has `GET /_events` (what happened, without any tokens), and `POST
/_faults` (which requests to the token endpoint to refuse, and which responses to drop after the request was processed).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.models import RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.urls import metadata_urlpatterns
from oauth2_provider.views import DeviceAuthorizationView
from oauthlib.oauth2 import DeviceApplicationServer


TOKEN_PATH: Final = "/o/token/"
KINDS: Final = {TOKEN_PATH: "token", "/o/revoke_token/": "revocation", "/o/device-authorization/": "device"}

_events: Final[list[dict[str, Any]]] = []
_faults: Final = {"refuse": 0, "status": 503, "lose": 0}
_lock: Final = Lock()


class Validator(OAuth2Validator):  # type: ignore[misc]  # Django has no types
    """The toolkit's validator, with a few claims, which records the use of rotated refresh tokens."""

    def get_additional_claims(self) -> dict[str, Callable[[Any], str]]:
        return {
            "name": lambda request: str(request.user.username),
            "preferred_username": lambda request: str(request.user.username),
            "email": lambda request: str(request.user.email),
        }

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        used = _is_used(refresh_token)
        accepted = bool(super().validate_refresh_token(refresh_token, client, request, *args, **kwargs))
        if used or (not accepted and _is_used(refresh_token)):  # another request may have used it in between
            _record("refresh_token.reused", accepted=accepted)
        return accepted


def _is_used(refresh_token: str) -> bool:
    """Return whether a refresh token is one that was rotated or revoked."""
    rows = RefreshToken.objects.filter(token_checksum=hashlib.sha256(refresh_token.encode()).hexdigest())
    return bool(rows.exists() and not rows.filter(revoked=None).exists())


class DeviceServer(DeviceApplicationServer):  # type: ignore[misc]  # oauthlib has no types
    """The toolkit's part for the start of a device sign-in, with codes of a lifetime that can be chosen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expires_in = settings.DEVICE_CODE_SECONDS


class DeviceView(DeviceAuthorizationView):  # type: ignore[misc]  # Django has no types
    """The endpoint that starts a device sign-in."""

    server_class = DeviceServer


def _record(kind: str, **facts: object) -> None:
    _events.append({"kind": kind, "time": time.time(), **facts})


def _due(fault: str) -> bool:
    with _lock:
        due = _faults[fault] > 0
        _faults[fault] -= due
        return due


def watched(respond: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return Django middleware that records what happens, and simulates faults of the token endpoint."""

    def handle(request: HttpRequest) -> HttpResponse:
        if request.path == TOKEN_PATH and _due("refuse"):
            return HttpResponse(status=_faults["status"])
        response = respond(request)
        if request.path in KINDS:
            _record(KINDS[request.path], **_outcome(request, response))
        if request.path == TOKEN_PATH and _due("lose"):
            request.META["counterpart.connection"].shutdown(socket.SHUT_RDWR)
        return response

    return handle


def _outcome(request: HttpRequest, response: HttpResponse) -> dict[str, object]:
    """Describe a response without its tokens."""
    answer: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        answer = json.loads(response.content)
    return {
        "status": response.status_code,
        "grant_type": request.POST.get("grant_type"),
        "error": answer.get("error"),
        "reason": answer.get("error_description"),
    }


def _show_events(request: HttpRequest) -> HttpResponse:
    return JsonResponse(_events, safe=False)


@csrf_exempt  # type: ignore[untyped-decorator]  # Django has no types
def _set_faults(request: HttpRequest) -> HttpResponse:
    _faults.update(json.loads(request.body))
    return JsonResponse(_faults)


urlpatterns = [
    path("_events", _show_events),
    path("_faults", _set_faults),
    path("accounts/login/", LoginView.as_view()),
    path("o/device-authorization/", DeviceView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("", include((metadata_urlpatterns, "metadata"))),
]
