"""Exchanges a machine's own identity for a token that lives for minutes (RFC 7523, section 2.1).

What is sent is what Anthropic's Python SDK 2.13.0 sends (``_workload.py``, ``_constants.py``).
"""

from __future__ import annotations

import os
from typing import Final

from freshkey import plugin
from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, frameless
from freshkey.oauth import TokenAnswer, assertion_request, read_refusal, read_token
from freshkey.plugin import SYSTEM, Clock, Identity, Response
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.federation.rule import FederationRule
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.identity import from_token
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.transport import endpoint_sender


FEDERATION_BETA: Final = "oidc-federation-2026-04-01"
"""Announces this grant, and only this one: with another it would reach the wrong handler."""


@frameless
def exchange(rule: FederationRule, settings: ClaudeSettings, *, clock: Clock = SYSTEM) -> ClaudeToken:
    """Exchange the identity token, which is read anew, for an access token.

    Raises:
        ConfigurationError: There is no identity token.
        ProviderRefused: The federation rule does not accept it.
        TransientError: Try again later.
        OutcomeUnknown: No usable answer; asking again does no harm.
    """
    betas = ",".join(beta for beta in (settings.beta, FEDERATION_BETA) if beta)
    request = assertion_request(
        rule.token_endpoint,
        assertion=identity_token.read(rule.identity_token_file, os.environ),
        extra=rule.fields,
        headers={"anthropic-beta": betas},
        encode=plugin.json_body,
    )
    response = endpoint_sender(rule.token_endpoint, settings)(request)
    answer = _read(response, rule, clock)
    return ClaudeToken(
        obtained=clock.now(),
        clock=clock,
        lifetime=answer.expires_in,
        access_token=answer.access_token,
        scopes=answer.granted(()),
        token_endpoint=rule.token_endpoint,
        # The workspace is part of the token: the header that names one would be ignored.
        extra_headers=tuple(settings.api_headers.items()),
        identity=from_token(answer.extra, Identity(organization=rule.organization_id)),
    )


def _read(response: Response, rule: FederationRule, clock: Clock) -> TokenAnswer:
    try:
        answer = read_token(response, clock.now().wall)
    except (LoginRequired, ProviderRefused):
        # No user can sign in here: whatever the code is, rule and identity do not fit each other.
        refusal = ProviderRefused(
            f"workload identity federation was refused: {read_refusal(response)}", hint=_advice(rule)
        )
    else:
        if answer.expires_in is None or answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
            raise ProtocolError("the answer to the identity token is no bearer token with a lifetime")
        return answer
    raise refusal


def _advice(rule: FederationRule) -> str:
    """Return what the server does not tell: its answer to every mismatch is the same."""
    advice = "Check that the federation rule matches the identity token, in the Claude Console under Workload identity"
    if rule.workspace_id is None:
        advice += "; where it covers several workspaces, set workspace_id or ANTHROPIC_WORKSPACE_ID"
    return advice
