"""Exchanges a machine's identity token for a short-lived Claude API token (RFC 7523, section 2.1).

The request is the one that Anthropic's Python SDK 2.13.0 sends (``_workload.py``, ``_constants.py``).
"""

from __future__ import annotations

import os
from typing import Final

from freshkey import plugin
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    frameless,
)
from freshkey.oauth import TokenAnswer, assertion_request, read_refusal, read_token, retryable
from freshkey.plugin import Clock, Identity, Profile, Response
from freshkey_claude_oauth.endpoints import at_endpoint
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.federation.rule import FederationRule
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.identity import from_token
from freshkey_claude_oauth.settings import ClaudeSettings


FEDERATION_BETA: Final = "oidc-federation-2026-04-01"
"""Selects this grant, and must not be sent with any other: that request would reach the wrong handler."""


@frameless
def exchange(rule: FederationRule, profile: Profile) -> ClaudeToken:
    """Read the identity token again and exchange it for an access token.

    Raises:
        ConfigurationError: The identity token is missing or invalid.
        ProviderRefused: The federation rule does not accept it.
        TransientError: Try again later.
        OutcomeUnknown: There is no usable response; it is safe to try again.
    """
    settings, clock = profile.settings_as(ClaudeSettings), profile.clock
    betas = ",".join(beta for beta in (settings.beta, FEDERATION_BETA) if beta)
    request = assertion_request(
        rule.token_endpoint,
        assertion=identity_token.read(rule.identity_token_file, os.environ),
        extra=rule.fields,
        headers={"anthropic-beta": betas},
        encode=plugin.json_body,
    )
    requested = clock.now()
    response = at_endpoint(profile, rule.token_endpoint).send(request)
    answer = _read(response, rule, clock)
    return ClaudeToken(
        obtained=requested,  # before the request, so that the lifetime is never too long
        clock=clock,
        lifetime=answer.expires_in,
        access_token=answer.access_token,
        scopes=answer.granted(()),
        token_endpoint=rule.token_endpoint,
        # The token includes the workspace; a workspace header would be ignored.
        extra_headers=tuple(settings.api_headers.items()),
        identity=from_token(answer.extra, Identity(organization=rule.organization_id)),
    )


def _read(response: Response, rule: FederationRule, clock: Clock) -> TokenAnswer:
    try:
        answer = read_token(response, clock.now().wall)
    except IntermediaryAnswer as error:
        refusal: FreshkeyError = retryable(error)
    except (LoginRequired, ProviderRefused):
        # There is no user to sign in: whatever the OAuth error, the rule and the identity token do not match.
        refusal = ProviderRefused(
            f"the server rejected the identity token: {read_refusal(response)}",
            hint=_advice(rule),
            code="claude-federation-refused",
        )
    else:
        flaw = answer.unusable()
        if flaw is not None:
            raise flaw
        if answer.expires_in is None:
            raise ProtocolError("the token response has no expires_in")
        return answer
    raise refusal


def _advice(rule: FederationRule) -> str:
    """Return what to check: the server responds to every mismatch in the same way."""
    advice = "In the Claude Console, under Workload identity, check that the federation rule matches the identity token"
    if rule.workspace_id is None:
        advice += "; if the rule covers several workspaces, set workspace_id or ANTHROPIC_WORKSPACE_ID"
    return advice
