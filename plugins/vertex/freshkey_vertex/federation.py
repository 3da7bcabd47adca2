"""Classes for federation files that replace parts of google-auth's, which keep them when google-auth copies an object.

To impersonate a service account, google-auth creates the object anew from its class and the members of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.auth import aws, identity_pool

from freshkey_vertex.aws_supplier import BotocoreSupplier
from freshkey_vertex.subject_token import TokenSupplier


class TokenCredentials(identity_pool.Credentials):
    """Credentials that read the identity token from a file or a response with `TokenSupplier`.

    Args:
        arguments: google-auth's, by name.

    Raises:
        ConfigurationError: The file of the identity token cannot be read, or contains no token.
    """

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401  google-auth's signature
        super().__init__(**arguments)  # type: ignore[no-untyped-call]
        self._subject_token_supplier = TokenSupplier(arguments["credential_source"], arguments["subject_token_type"])


class AwsCredentials(aws.Credentials):
    """Credentials whose AWS keys come from botocore.

    Args:
        credential_source: Member of the file; its URLs count, unlike for google-auth with a supplier.
        arguments: google-auth's others, by name.
    """

    def __init__(self, *, credential_source: Mapping[str, Any], **arguments: Any) -> None:  # noqa: ANN401  as above
        usual = aws._DEFAULT_AWS_REGIONAL_CREDENTIAL_VERIFICATION_URL  # noqa: SLF001
        source = {"regional_cred_verification_url": usual, **credential_source}
        super().__init__(credential_source=source, **arguments)  # type: ignore[no-untyped-call]
        # google-auth accepts a supplier only without `credential_source`, and would then ignore the URLs in it.
        # See docs/decisions.md, "AWS keys for federation come from botocore, where google-auth would not find them".
        self._aws_security_credentials_supplier = BotocoreSupplier(source)
