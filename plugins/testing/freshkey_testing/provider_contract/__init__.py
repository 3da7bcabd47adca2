"""The provider contract as tests, for any implementation of the hooks in `freshkey.hooks`."""

from __future__ import annotations

from freshkey_testing.provider_contract.binding import Bound
from freshkey_testing.provider_contract.borrowing import Borrowing
from freshkey_testing.provider_contract.credentials import Credentials
from freshkey_testing.provider_contract.describing import Describing
from freshkey_testing.provider_contract.ending import Ending
from freshkey_testing.provider_contract.failing import Failing
from freshkey_testing.provider_contract.leaks import Leaks
from freshkey_testing.provider_contract.leftovers import Leftovers
from freshkey_testing.provider_contract.living import Living
from freshkey_testing.provider_contract.renewing import Renewing
from freshkey_testing.provider_contract.sharing import Sharing
from freshkey_testing.provider_contract.signing_in import SigningIn
from freshkey_testing.provider_contract.sources import Sources


class ProviderContract(
    Leftovers,
    Sharing,
    Borrowing,
    Bound,
    Ending,
    Renewing,
    Failing,
    Living,
    Leaks,
    Credentials,
    SigningIn,
    Sources,
    Describing,  # the last one is run first
):
    """What every provider must do, through its whole life: sign-in, renewals, failures, sign-out.

    Subclass it, name the class ``Test…``, and define the world in which the provider lives: who signs in, and what the
    server answers when all is well. The kit itself lets the server refuse, fail and fall silent::

        class TestMyProvider(ProviderContract):
            @pytest.fixture
            def provider(self):
                return freshkey_mine

            @pytest.fixture
            def profile(self, freshkey_profile, freshkey_http):
                freshkey_http.on("POST", "https://id.mine.example/token", json={"access_token": "…", "expires_in": 60})
                return freshkey_profile(freshkey_mine)

            @pytest.fixture
            def users(self):
                return {"sign-in": ScriptedUser(paste="a-code")}

    Further fixtures, where what is derived does not fit: `settings`, `signed_in`, `refusal`, `not_renewable`,
    `revocable`. What is missing fails with a sentence that names the fixture.

    A provider that reads the credential of another program also defines `lenders`, so that the kit can let that program
    renew it and sign out::

            @pytest.fixture
            def lenders(self, path):
                return {"file": Lender(renew=lambda: path.write_text("newer"), remove=path.unlink)}
    """
