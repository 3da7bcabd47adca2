"""A dead refresh token ends the sign-in whatever the server calls it, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import json_body
from freshkey.errors import FreshkeyError, IntermediaryAnswer, LoginRequired, ProviderRefused, TransientError
from freshkey.model.exchange import Response
from freshkey.oauth import read_refusal, refusal_error
from freshkey.oauth.vendor_words import MAX_TEXT, Verdict, judge, normalize
from promises import proves


DEAD: dict[str, tuple[int, dict[str, Any]]] = {
    "RFC 6749": (400, {"error": "invalid_grant"}),
    "Microsoft": (400, {"error": "invalid_grant", "error_description": "AADSTS70008: The refresh token has expired"}),
    "GitHub": (200, {"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect"}),
    "GitHub, code": (200, {"error": "bad_verification_code"}),
    "OpenAI, reused": (401, {"error": {"code": "refresh_token_reused", "message": "It has already been used"}}),
    "OpenAI, expired": (401, {"error": {"message": "…", "type": "invalid_request_error", "code": "token_expired"}}),
    "OpenAI, invalidated": (401, {"error": {"code": "refresh_token_invalidated"}}),
    "OpenAI, session": (401, {"error": {"code": "app_session_terminated"}}),
    "Slack": (200, {"ok": False, "error": "invalid_refresh_token"}),
    "Slack, revoked": (200, {"ok": False, "error": "token_revoked"}),
    "DeviantArt": (400, {"error": "invalid_request", "error_description": "The refresh_token is invalid."}),
    "Laravel Passport": (401, {"error": "invalid_request", "message": "The refresh token is invalid.", "hint": "…"}),
    "Authlib": (400, {"error": "invalid_request", "error_description": 'Invalid "refresh_token" in request.'}),
    "Atlassian": (403, {"error": "unauthorized_client", "error_description": "refresh_token is invalid"}),
    "Atlassian, newer": (403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}),
    "HubSpot": (400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"}),
    "HubSpot, newer": (400, {"status": "BAD_REFRESH_TOKEN", "error": "invalid_request"}),
    "Fitbit": (400, {"errors": [{"errorType": "invalid_grant", "message": "…"}], "success": False}),
    "Supabase": (400, {"code": 400, "error_code": "refresh_token_not_found", "msg": "…"}),
    "Supabase, newer": (400, {"code": "refresh_token_already_used", "message": "…"}),
    "Follow Up Boss": (401, {"error": "expired-refresh-token"}),
    "Spring Security": (401, {"error": "invalid_token", "error_description": "Invalid refresh token (expired): a"}),
    "Zoom": (400, {"reason": "Invalid Token!", "error": "invalid_request"}),
    "Square": (401, {"message": "Invalid refresh token", "type": "service.not_authorized"}),
    "AWS": (400, {"error": "InvalidGrantException"}),
    "in capitals": (401, {"code": "INVALID_REFRESH_TOKEN"}),
    "as a sentence": (401, {"error": "refresh_token is invalid or expired"}),
    "just true": (401, {"error": True, "message": "Refresh token has expired, login required"}),
    "in an envelope": (401, {"success": False, "error": {"status": "REFRESH_TOKEN_REVOKED"}}),
    "problem details": (401, {"title": "Unauthorized", "status": 401, "detail": "The refresh token does not exist"}),
    "not valid": (400, {"error": "invalid_request", "error_description": "Refresh token isn't valid"}),
    "no subject": (400, {"error": "invalid_request", "error_description": "Token has been revoked"}),
    "Better Auth": (400, {"error": "invalid_request", "error_description": "session not found"}),
    "X": (400, {"error": "invalid_request", "error_description": "Value passed for the token was invalid."}),
    "Ory": (401, {"error": "token_inactive", "error_description": "Token is inactive because it is malformed, …"}),
    "Strava": (
        400,
        {
            "message": "Bad Request",
            "errors": [{"resource": "RefreshToken", "field": "refresh_token", "code": "invalid"}],
        },
    ),
    "Zoho": (200, {"error": "invalid_code"}),
    "Firebase": (400, {"error": {"code": 400, "message": "TOKEN_EXPIRED", "status": "INVALID_ARGUMENT"}}),
    "Firebase, disabled": (400, {"error": {"code": 400, "message": "USER_DISABLED", "status": "INVALID_ARGUMENT"}}),
    "Firebase, deleted": (400, {"error": {"code": 400, "message": "USER_NOT_FOUND", "status": "INVALID_ARGUMENT"}}),
    "Apigee": (401, {"ErrorCode": "invalid_request", "Error": "Refresh Token expired"}),
    "Apigee, fault": (
        401,
        {
            "fault": {
                "faultstring": "Invalid Refresh Token",
                "detail": {"errorcode": "keymanagement.service.invalid_refresh_token"},
            }
        },
    ),
    "AT Protocol": (
        403,
        {"error": "access_denied", "error_description": "Refresh token exceeded inactivity timeout"},
    ),
    "FastAPI": (401, {"detail": {"error": "invalid_grant"}}),
    "FastAPI, its own words": (401, {"detail": {"status": "REFRESH_TOKEN_REUSE_DETECTED", "message": "…"}}),
    "in another case": (400, {"Error": "invalid_grant"}),
    "reuse": (401, {"code": "TOKEN_REUSE_DETECTED", "message": "…"}),
    "reuse, in words": (401, {"error": "unauthorized_client", "message": "Refresh token reuse was detected"}),
    "a lifetime": (400, {"error": "invalid_request", "error_description": "Refresh token lifetime exceeded"}),
    "another client": (
        400,
        {"error": "invalid_request", "error_description": "The refresh token was issued to another client"},
    ),
    "none such": (400, {"error": "invalid_request", "error_description": "No such refresh token"}),
    "could not be found": (
        400,
        {"error": "invalid_request", "error_description": "The refresh token could not be found."},
    ),
    "British": (400, {"error": "invalid_request", "error_description": "Refresh token not recognised"}),
    "not active": (400, {"error": "invalid_request", "error_description": "Token is not active"}),
    "consent": (400, {"error": "invalid_request", "error_description": "The authorization has been revoked"}),
    "Shopify": (
        400,
        {"error": "invalid_request", "error_description": "This request requires an active refresh_token"},
    ),
    "Laravel Passport, hint": (
        400,
        {"error": "invalid_request", "message": "The refresh token is invalid.", "hint": "Cannot decrypt …"},
    ),
    "Facebook": (
        400,
        {
            "error": {
                "message": "Error validating access token: The session has been invalidated because the user changed "
                "their password or Facebook has changed the session for security reasons.",
                "type": "OAuthException",
                "code": 190,
            }
        },
    ),
    "OpenAI, in words": (
        401,
        {
            "error": {
                "message": "Could not validate your refresh token. Please try signing in again.",
                "type": "invalid_request_error",
            }
        },
    ),
    "Zitadel": (400, {"error": "invalid_request", "error_description": "Errors.User.RefreshToken.Invalid"}),
    "Whoop": (400, {"error": "invalid_request", "error_hint": "The refresh token has not been found: not_found"}),
    "Figma": (400, {"status": 400, "err": "Invalid refresh token"}),
    "Autodesk": (400, {"developerMessage": "The refresh token is invalid or expired.", "errorCode": "AUTH-004"}),
    "OneLogin": (400, {"status": {"error": True, "code": 400, "message": "Invalid refresh_token"}}),
    "a list of texts": (401, {"errors": ["Invalid refresh token"]}),
    "in data": (400, {"data": {"error": "invalid_grant"}}),
    "unrecognized": (400, {"error": "invalid_request", "error_description": "Unrecognized refresh token"}),
    "no match": (400, {"error": "invalid_request", "error_description": "No matching refresh token found"}),
    "none active": (400, {"error": "invalid_request", "error_description": "No active refresh token found"}),
    "reuse, alone": (400, {"error": "invalid_request", "error_description": "Refresh token reuse"}),
    "a limit": (400, {"error": "invalid_request", "error_description": "Maximum refresh token reuse exceeded"}),
    "its session": (400, {"error": "invalid_request", "error_description": "The refresh token's session has ended"}),
    "the user": (400, {"error": "invalid_request", "error_description": "The user has revoked access"}),
    "the user, at once": (400, {"error": "invalid_request", "error_description": "User deauthorized the app."}),
    "sign in and try again": (
        401,
        {"error": "invalid_request", "error_description": "Refresh token expired. Sign in and try again."},
    ),
    "not found": (400, {"error": "invalid_request", "error_description": "Token not found"}),
    "only a description": (401, {"error": "unauthorized_client", "error_description": "invalid_grant"}),
}

DEAD_BODIES: dict[str, tuple[int, bytes]] = {
    "a text": (400, b"Invalid refresh token"),
    "a code": (401, b"invalid_grant\n"),
    "a JSON string": (400, b'"invalid_grant"'),
    "a list": (400, b'[{"error": "invalid_grant"}]'),
}

DOUBTFUL: dict[str, tuple[int, dict[str, Any]]] = {
    "Anthropic": (
        401,
        {
            "type": "error",
            "error": {
                "type": "authentication_error",
                "message": "OAuth token has been revoked. Please obtain a new token.",
            },
        },
    ),
    "Mail.ru": (400, {"error": "token not found", "error_code": 6, "error_description": "token not found"}),
    "a session": (401, {"error": "Your session has expired", "redirect": "/login"}),
    "a session, briefly": (401, {"error": "Session Expired"}),
    "a session, in an object": (401, {"error": {"code": 1, "message": "Your session has expired. Please log in."}}),
    "a session, with a filter's status": (403, {"error": "Session expired. Please log in."}),
    "a session, as a code": (401, {"code": "SESSION_EXPIRED", "message": "…"}),
    "a login session": (401, {"error": "Your login session has timed out"}),
    "a token": (401, {"error": "Token expired"}),
    "a token, of one kind": (401, {"error": "jwt expired"}),
    "a token, the other way round": (401, {"error": "Invalid Token"}),
    "a token, as a code": (401, {"code": "token_expired"}),
    "Kong, missing": (401, {"error": "invalid_token", "error_description": "The access token is missing"}),
    "Kong": (401, {"error": "invalid_token", "error_description": "The access token is invalid or has expired"}),
    "Spring Security, access token": (401, {"error": "invalid_token", "error_description": "Access token expired: a"}),
    "no token": (401, {"error": "invalid_token", "error_description": "Bearer token not provided"}),
    "JWT": (401, {"error": "expired_token", "message": "JWT is expired"}),
    "Coinbase": (401, {"errors": [{"id": "revoked_token", "message": "The access token was revoked"}]}),
    "not verified": (400, {"error": "invalid_request", "error_description": "Could not verify the refresh token"}),
    "Gitea": (400, {"error": "unauthorized_client", "error_description": "unable to parse refresh token"}),
    "not decrypted": (400, {"error": "invalid_request", "hint": "Cannot decrypt the refresh token"}),
    "try again": (400, {"error": "invalid_request", "error_description": "Invalid refresh token, please try again"}),
}
"""Perhaps a gateway's own session or token, or only so for now: asked again before anything ends."""

OTHER: dict[str, tuple[int, dict[str, Any]]] = {
    "missing": (400, {"error": "invalid_request", "error_description": "refresh_token is missing"}),
    "required": (400, {"error": "invalid_request", "error_description": "The refresh token is required"}),
    "Authlib, missing": (400, {"error": "invalid_request", "error_description": 'Missing "refresh_token" in request.'}),
    "RFC 6749": (
        400,
        {
            "error": "invalid_request",
            "error_description": "The request is missing a required parameter, includes an invalid parameter value, or "
            "is otherwise malformed.",
        },
    ),
    "the client": (401, {"error": "invalid_client", "error_description": "secret invalid for this refresh token"}),
    "GitHub, the client": (200, {"error": "incorrect_client_credentials", "error_description": "…"}),
    "the grant type": (400, {"error": "invalid_request", "error_description": "grant_type refresh_token is invalid"}),
    "not allowed": (
        400,
        {"error": "unauthorized_client", "error_description": "The client may not use the refresh token grant"},
    ),
    "the scope": (400, {"error": "invalid_scope", "error_description": "not valid for this refresh token"}),
    "another parameter": (400, {"error": "invalid_request", "error_description": "Unknown parameter"}),
    "not in the request": (
        400,
        {"error": "invalid_request", "error_description": "Refresh token not found in the request body"},
    ),
    "Firebase, not in the request": (
        400,
        {
            "error": {
                "code": 400,
                "message": 'Invalid JSON payload received. Unknown name "refresh_tokens": Cannot bind query parameter. '
                "Field 'refresh_tokens' could not be found in request message.",
                "status": "INVALID_ARGUMENT",
            }
        },
    ),
    "Firebase, the key": (
        400,
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
            }
        },
    ),
    "Firebase, the project": (
        400,
        {"error": {"code": 400, "message": "PROJECT_NUMBER_MISMATCH", "status": "INVALID_ARGUMENT"}},
    ),
    "Firebase, the grant type": (
        400,
        {"error": {"code": 400, "message": "INVALID_GRANT_TYPE", "status": "INVALID_ARGUMENT"}},
    ),
    "Strava, the client": (
        400,
        {"message": "Bad Request", "errors": [{"resource": "Application", "field": "client_id", "code": "invalid"}]},
    ),
    "Strava, not sent": (
        400,
        {"errors": [{"resource": "RefreshToken", "field": "refresh_token", "code": "missing"}]},
    ),
    "Apigee, the client": (
        401,
        {"ErrorCode": "invalid_request", "Error": "Invalid client id : a. ClientId is"},
    ),
    "a session of a server in between": (400, {"error": {"code": -32001, "message": "Session not found"}}),
    "an account of a server in between": (401, {"error": True, "message": "User not found"}),
    "an authorization that was not sent": (
        400,
        {"error": "invalid_request", "error_description": "Authorization not found"},
    ),
    "for now": (400, {"error": "invalid_request", "error_description": "This refresh token is temporarily disabled"}),
    "in use": (400, {"error": "invalid_request", "error_description": "The refresh token is being used elsewhere"}),
    "in progress": (400, {"error": "invalid_request", "message": "Refresh token not rotated: rotation in progress"}),
    "concurrent": (
        400,
        {"error": "invalid_request", "error_description": "Refresh token used by a concurrent request, please retry"},
    ),
    "later": (400, {"error": "invalid_request", "error_description": "Refresh token rejected, try again later"}),
    "not yet": (400, {"error": "invalid_request", "error_description": "The refresh token is not valid yet"}),
    "too often": (
        400,
        {"error": "invalid_request", "error_description": "Rate limit for refresh token; token used too often"},
    ),
    "disabled": (
        400,
        {"error": "unauthorized_client", "error_description": "Refresh tokens are disabled for this client"},
    ),
    "the endpoint": (
        400,
        {"error": "invalid_request", "error_description": "The refresh token endpoint is disabled"},
    ),
    "support": (400, {"error": "invalid_request", "error_description": "Refresh token support is disabled"}),
    "the secret": (
        400,
        {"error": "invalid_request", "error_description": "Invalid client secret: cannot decrypt the refresh token"},
    ),
    "its client": (
        400,
        {"error": "unauthorized_client", "error_description": "Refresh token not issued since the client is disabled"},
    ),
    "the request": (400, {"error": "invalid_request", "error_description": "Failed to parse refresh token request"}),
    "an API": (400, {"error": "invalid_request", "error_description": "This API is disabled"}),
    "a list of other texts": (400, {"errors": ["Session not found"]}),
    "Google": (400, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "…"}}),
}


DEAD_TEXTS = [
    "Refresh token revoked: concurrent session limit exceeded",
    "Refresh token revoked due to concurrent login on another device",
    "Your session has been terminated because you signed in elsewhere. Refresh token revoked by concurrent login.",
    "Session expired because of concurrent login",
    "Refresh token has been revoked (concurrent session)",
    "Refresh token is invalid or expired. Please try again after signing in.",
    "Invalid refresh token; retry after signing in",
    "The refresh token is expired. Try again after logging in.",
    "Refresh token expired after being idle for 30 days",
    "The refresh token of this temporary session has expired",
    "Refresh token expired due to timeout",
    "The refresh token was canceled",
    "This refresh token has been cancelled by the user",
    "Your refresh token has ended",
    "The refresh token does not belong to this client",
    "The provided refresh token does not match our records",
    "The refresh token's family has ended",
    "Refresh token not found in the database",
    "Refresh token has been invalidated due to unexpected reuse",
    "The refresh token does not exist in our database",
    "The session associated with the refresh token has expired",
    "Refresh token is invalid because the connection was revoked",
]
"""Descriptions beside ``invalid_request``: whatever else they say, it is over."""

DOUBTFUL_TEXTS = [
    "Unable to find refresh token",
    "Cannot find a matching refresh token",
    "Refresh token reuse detected, concurrent request",
    "Refresh token expired because of an unexpected error",
    "Failed to decode the refresh token",
    "The refresh token could not be parsed",
    "This refresh token cannot be used",
    "Refresh token not found: connection refused",
    "Refresh token is invalid: database is not reachable",
    "Refresh token revoked: used by a concurrent request",
    "Refresh token expired. Sign in, or try again later.",
]
"""Perhaps something failed on the server's side, or only for now."""

OTHER_TEXTS = [
    ("db_error", "failed to find refresh token: connection refused"),
    ("server_busy", "Unable to parse refresh token"),
    ("invalid_request", "Failed to find refresh token due to database timeout"),
    ("bad_refresh", "could not find refresh token, database is temporarily unavailable"),
    ("invalid_request", "Unable to parse refresh token parameter"),
    ("invalid_request", "failed to parse refresh token body"),
    ("invalid_request", "Unable to find refresh token in request"),
    ("invalid_request", "Could not find the refresh token in your request"),
    ("invalid_request", "refresh token lookup canceled"),
    ("invalid_request", "Refresh token exchange canceled: context canceled"),
    ("invalid_request", "Refresh token exchange was cancelled by the server"),
    ("invalid_request", "Refresh token processing ended unexpectedly"),
    ("invalid_request", "The redirect_uri sent with the refresh token does not match"),
    ("invalid_request", "The redirect_uri sent with the refresh token is invalid"),
    ("invalid_request", "Client ID for refresh token does not match"),
    ("invalid_request", "Client ID does not match the refresh token"),
    ("invalid_request", "client_id in the refresh token request does not match"),
    ("invalid_request", "The refresh token does not match the requested resource"),
    ("invalid_request", "The refresh token was issued for a client that is disabled"),
    ("unauthorized_client", "This refresh token cannot be used: client has been disabled"),
    ("invalid_request", "refresh token sent with an unknown parameter"),
    ("invalid_request", "refresh token with bad scope"),
    ("invalid_request", "refresh_token reuse interval configuration"),
    ("internal", "Refresh token could not be processed due to an unknown error"),
    ("invalid_scope", "The refresh token does not match the requested scope"),
    ("invalid_scope", "Requested scopes exceed those of the refresh token and cannot be found"),
    ("invalid_target", "The refresh token is not valid for this resource"),
    ("invalid_dpop_proof", "The DPoP key for the refresh token does not match"),
    ("invalid_dpop_proof", "DPoP proof used with refresh token is expired"),
    ("invalid_dpop_proof", "refresh token: DPoP proof is expired"),
    ("use_dpop_nonce", "The refresh token requires a nonce; nonce expired"),
    ("invalid_request", "The refresh token is currently being used"),
    ("invalid_request", "Refresh token rejected because of concurrent use"),
    ("invalid_request", "The refresh token has been used concurrently"),
    ("invalid_request", "Refresh token rejected, retry after 5 seconds"),
    ("invalid_request", "Refresh token not found due to a temporary failure"),
]
"""Codes and descriptions of failures on the server's side, for now, or about something else that was sent."""


def error_for(status: int, body: dict[str, Any]) -> FreshkeyError:
    return refusal_error(Response(status=status, headers={}, body=json_body("https://a.example", body).body), 0.0)


@proves("FAULT-30", "NET-1")
@pytest.mark.parametrize(("status", "body"), DEAD.values(), ids=DEAD)
def test_a_dead_token_ends_the_sign_in_in_any_words(status: int, body: dict[str, Any]) -> None:
    error = error_for(status, body)

    assert type(error) is LoginRequired
    assert (error.code, error.doubtful) == ("sign-in-ended", False)


@proves("FAULT-40", "NET-1")
@pytest.mark.parametrize(("status", "body"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_may_be_a_gateways_own_leaves_a_doubt(status: int, body: dict[str, Any]) -> None:
    error = error_for(status, body)

    assert type(error) is LoginRequired
    assert error.doubtful


@proves("FAULT-30", "NET-1")
@pytest.mark.parametrize(("status", "body"), DEAD_BODIES.values(), ids=DEAD_BODIES)
def test_a_dead_token_ends_the_sign_in_in_any_body(status: int, body: bytes) -> None:
    error = refusal_error(Response(status=status, headers={}, body=body), 0.0)

    assert type(error) is LoginRequired
    assert error.final


@proves("FAULT-31", "NET-1")
@pytest.mark.parametrize(("status", "body"), OTHER.values(), ids=OTHER)
def test_other_errors_do_not(status: int, body: dict[str, Any]) -> None:
    error = error_for(status, body)

    assert type(error) is ProviderRefused
    assert error.code == "request-refused"


def verdict_of(code: str, text: str, status: int = 400) -> tuple[type[FreshkeyError], bool]:
    error = error_for(status, {"error": code, "error_description": text})
    return type(error), isinstance(error, LoginRequired) and error.doubtful


@proves("FAULT-30", "NET-1")
@pytest.mark.parametrize("text", DEAD_TEXTS)
def test_a_description_ends_the_sign_in(text: str) -> None:
    assert verdict_of("invalid_request", text) == (LoginRequired, False)


@pytest.mark.parametrize("text", [text for text in DEAD_TEXTS if "efresh token" in text])
def test_a_description_beside_the_mere_status_does_so(text: str) -> None:
    assert verdict_of("Unauthorized", text, 401) == (LoginRequired, False)


@proves("FAULT-40", "NET-1")
@pytest.mark.parametrize("text", DOUBTFUL_TEXTS)
def test_a_description_of_a_failure_leaves_a_doubt(text: str) -> None:
    assert verdict_of("invalid_request", text) == (LoginRequired, True)


@proves("FAULT-31", "NET-1")
@pytest.mark.parametrize(("code", "text"), OTHER_TEXTS)
def test_a_failure_of_the_server_ends_nothing(code: str, text: str) -> None:
    assert verdict_of(code, text) == (ProviderRefused, False)


def test_a_description_is_read_but_never_quoted() -> None:
    error = error_for(400, {"error": "invalid_request", "error_description": "refresh token canary1 is expired"})

    assert isinstance(error, LoginRequired)
    assert "canary1" not in f"{error!r} {error} {error.hint}"


IN_BETWEEN: dict[str, tuple[int, bytes]] = {
    "a text": (401, b"Token expired"),
    "a session": (401, b"Session not found"),
    "a JSON string": (401, b'"session expired"'),
    "a page": (401, b"<h1>invalid_grant</h1>"),
    "a page in a text": (400, b"Invalid refresh token <a href=/>"),
    "a long text": (400, b"Invalid refresh token " + b"x" * 200),
    "a success": (200, b"Refresh token expired"),
    "a forbidden address": (403, b"Blocked"),
    "a forbidden API": (403, b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "..."}}'),
    "another session": (404, b'{"error": {"code": -32001, "message": "Session not found"}}'),
    "in use": (409, b'{"error": "conflict", "error_description": "The refresh token is being used"}'),
    "concurrent": (409, b'{"error": "conflict", "message": "Refresh token was used by a concurrent request"}'),
    "a list": (401, b'[{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]'),
    "an empty list": (401, b"[]"),
    "another list": (401, b"[1]"),
    "Apigee, a token": (401, b'{"fault": {"faultstring": "Access Token expired", "detail": {"errorcode": "a.b"}}}'),
    "Apigee, a key": (401, b'{"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.a"}}}'),
    "FastAPI": (401, b'{"detail": {"code": "token_expired", "message": "Session not found"}}'),
    "FastAPI, introspection": (401, b'{"detail": "token_inactive"}'),
    "introspection": (401, b'{"code": "TOKEN_INACTIVE", "message": "Token is not active"}'),
    "an account": (401, b'{"code": "USER_DISABLED", "message": "USER_DISABLED"}'),
    "a code by text message": (400, b'{"code": "invalid_code", "message": "invalid code"}'),
    "a token that was not sent": (401, b'{"code": "TOKEN_NOT_FOUND", "message": "Token not found"}'),
    "a challenge": (401, b""),
}


@proves("FAULT-31", "NET-1")
@pytest.mark.parametrize(("status", "body"), IN_BETWEEN.values(), ids=IN_BETWEEN)
def test_what_may_be_said_in_between_does_not(status: int, body: bytes) -> None:
    headers = {"www-authenticate": 'Bearer error="invalid_token"'}

    error = refusal_error(Response(status=status, headers=headers, body=body), 0.0)

    assert isinstance(error, IntermediaryAnswer | TransientError)


@pytest.mark.parametrize("text", ["Token has expired", "The incoming token has expired", "Invalid token"])
def test_a_gateway_that_rejects_a_token_of_its_own_does_not_end_the_sign_in(text: str) -> None:
    assert not isinstance(error_for(401, {"message": text}), LoginRequired)


def test_the_code_that_says_most_is_shown() -> None:
    body = {"error": {"code": "token_expired", "type": "invalid_request_error"}}

    assert read_refusal(Response(status=401, headers={}, body=json_body("https://a.example", body).body)).code == (
        "token_expired"
    )


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("invalid_grant", "invalid_grant"),
        ("InvalidGrantException", "invalid_grant"),
        ("expired-refresh-token", "expired_refresh_token"),
        ("BAD_REFRESH_TOKEN", "bad_refresh_token"),
        ("Invalid Token!", "invalid_token"),
        ("auth.refreshToken.expired", "auth_refresh_token_expired"),
        ("rate_limit_error", "rate_limit"),
        ("", ""),
    ],
)
def test_codes_are_compared_in_one_style(written: str, code: str) -> None:
    assert normalize(written) == code


@given(st.lists(st.text(max_size=80)), st.lists(st.text("refsh tokenivald_.-", max_size=2 * MAX_TEXT)))
def test_any_words_are_read(words: list[str], texts: list[str]) -> None:
    assert judge(words, texts) in Verdict
