"""What is just the name of a host, and what to write instead of what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey.model.endpoints import host_flaw, host_of


@pytest.mark.parametrize("name", ["api.example", "API.Example", "localhost", "127.0.0.1", "::1", "bücher.example", ""])
def test_names_of_hosts(name: str) -> None:
    assert host_flaw(name) is None


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("api.example:8443", "has 'api.example:8443', which has a port: write 'api.example'"),
        ("https://api.example", "has 'https://api.example', which is a URL: write 'api.example'"),
        ("//api.example", "has '//api.example', which is a URL: write 'api.example'"),
        ("https://api.example:1/token", "has 'https://api.example:1/token', which is a URL: write 'api.example'"),
        ("api.example/v1", "has 'api.example/v1', which has a path: write 'api.example'"),
        ("[::1]", "has '[::1]', which has brackets: write '::1'"),
        ("[::1]:80", "has '[::1]:80', which has a port: write '::1'"),
    ],
)
def test_what_to_write_instead(text: str, flaw: str) -> None:
    assert host_flaw(text) == flaw


@pytest.mark.parametrize("text", ["*.example", ".example", "*", "https://*.example"])
def test_wildcards_are_not_supported(text: str) -> None:
    flaw = host_flaw(text)
    assert flaw is not None
    assert flaw.endswith(": write the name of each host, such as 'api.example'")


@pytest.mark.parametrize(
    "text",
    ["https://ada:canary@api.example/", "https://api.example/?key=canary", "api.example#canary", "api example canary"],
)
def test_what_may_be_a_secret_is_not_quoted(text: str) -> None:
    flaw = host_flaw(text)
    assert flaw is not None
    assert "canary" not in flaw
    assert flaw.startswith("has an entry (not shown), which ")


labels = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=3).map(".".join)


@settings(derandomize=True, database=None, max_examples=200)
@given(
    names,
    st.sampled_from(["", "https://", "//"]),
    st.sampled_from(["", ":1", ":65535"]),
    st.sampled_from(["", "/", "/x"]),
)
def test_only_what_a_url_has_as_its_host_is_the_name_of_one(name: str, scheme: str, port: str, path: str) -> None:
    flaw = host_flaw(scheme + name + port + path)
    assert (flaw is None) is not bool(scheme or port or path)
    assert flaw is None or flaw.endswith(f": write {name!r}")
    assert host_of(f"https://{name}{port}{path}") == name


@settings(derandomize=True, database=None, max_examples=300)
@given(st.text(max_size=30))
def test_any_text_is_judged(text: str) -> None:
    flaw = host_flaw(text)
    assert flaw is None or flaw.startswith("has ")
