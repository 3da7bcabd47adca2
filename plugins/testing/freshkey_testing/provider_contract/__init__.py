"""The provider contract as tests, for any implementation of the hooks in `freshkey.hooks`."""

from __future__ import annotations

from freshkey_testing.provider_contract.binding import Bound
from freshkey_testing.provider_contract.credentials import Credentials
from freshkey_testing.provider_contract.describing import Describing
from freshkey_testing.provider_contract.ending import Ending
from freshkey_testing.provider_contract.leaks import Leaks
from freshkey_testing.provider_contract.renewing import Renewing
from freshkey_testing.provider_contract.sources import Sources


class ProviderContract(Describing, Sources, Credentials, Leaks, Renewing, Ending, Bound):
    """What every provider must do.

    Subclass it, name the class ``Test…``, and provide the fixtures `provider` and `profile`::

        class TestMyProvider(ProviderContract):
            @pytest.fixture
            def provider(self):
                return freshkey_mine

            @pytest.fixture
            def profile(self, tmp_path, monkeypatch):
                monkeypatch.setenv("MY_KEY", "a-made-up-key-to-be-found")
                return Profile(name="contract", provider="mine", settings=MySettings(), state_dir=tmp_path)

    Optional fixtures: `signed_in`, for a provider with owned credentials; `not_renewable`; `revocable`, for a provider
    that can revoke a credential at a server run by the test.
    """
