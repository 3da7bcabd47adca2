"""The settings and the contents of a Django site with django-oauth-toolkit; part of `django_server.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command


LOGIN: Final = "alice"
PASSWORD: Final = "any password"
APPS: Final = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "oauth2_provider")
PAGES: Final = {
    "registration/login.html": "<form method='post'>{% csrf_token %}{{ form }}<button type='submit'>Log in</button>",
    "oauth2_provider/base.html": "<title>Sign in</title>{% block content %}{% endblock %}",
}


def configure(options: dict[str, Any], origin: str) -> None:
    """Configure Django for one database file, with hashes that are fast instead of safe."""
    settings.configure(
        SECRET_KEY="a key that only signs the cookies of tests",
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        ROOT_URLCONF="counterparts.django_urls",
        INSTALLED_APPS=APPS,
        # Without migrations, the tables are created as they are today, which takes a tenth of the time.
        MIGRATION_MODULES={app.rpartition(".")[2]: None for app in APPS},
        DATABASES={"default": _database(Path(options["folder"]))},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        MIDDLEWARE=[
            "counterparts.django_urls.watched",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[_templates()],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING_CONFIG=None,
        USE_TZ=True,
        DEVICE_CODE_SECONDS=options["device_code_seconds"],
        OAUTH2_PROVIDER=_toolkit(options, origin),
    )


def _database(folder: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": folder / "database",
        # A transaction that reads before it writes fails in SQLite if another one wrote in between, unless it says
        # from the start that it will write. Losing the database with the machine does not matter.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous=OFF"},
    }


def _templates() -> dict[str, Any]:
    return {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": ["django.template.context_processors.request"],
            "loaders": [
                ("django.template.loaders.locmem.Loader", PAGES),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    }


def _toolkit(options: dict[str, Any], origin: str) -> dict[str, Any]:
    return {
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": _private_key(),
        "SCOPES": {scope: scope for scope in options["scopes"]},
        "ACCESS_TOKEN_EXPIRE_SECONDS": options["access_token_seconds"],
        "ID_TOKEN_EXPIRE_SECONDS": options["id_token_seconds"],
        "REFRESH_TOKEN_EXPIRE_SECONDS": options["refresh_token_seconds"],
        "ROTATE_REFRESH_TOKEN": options["rotate"],
        "REFRESH_TOKEN_REUSE_PROTECTION": options["detect_reuse"],
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": options["grace_seconds"],
        "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": options["issuer_in_redirect"],
        "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
        "ALLOW_LOCALHOST_LOOPBACK": True,
        "OAUTH_DEVICE_VERIFICATION_URI": f"{origin}/o/device/",
        "OAUTH_DEVICE_VERIFICATION_URI_COMPLETE": lambda code: f"{origin}/o/device/?user_code={code}",
        "DEVICE_FLOW_INTERVAL": options["interval"],
        "OAUTH2_VALIDATOR_CLASS": "counterparts.django_urls.Validator",
    }


def _private_key() -> str:
    """Return a new RSA key, in PEM, that signs the ID tokens."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def fill(options: dict[str, Any]) -> None:
    """Create the tables, the user and the clients."""
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    call_command("migrate", run_syncdb=True, verbosity=0)
    User.objects.create_user(LOGIN, f"{LOGIN}@example.test", PASSWORD)
    for client in options["clients"]:
        Application.objects.create(**client)
