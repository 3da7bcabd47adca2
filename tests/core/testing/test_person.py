from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from freshkey.model.interaction import Interaction
from freshkey.testing import ScriptedPerson, UnexpectedQuestion


def test_what_is_reported_is_recorded() -> None:
    person = ScriptedPerson()
    as_interaction: Interaction = person
    as_interaction.progress("opening")
    as_interaction.line("helper says")
    as_interaction.notice("attention")
    assert (person.progress_messages, person.lines, person.notices) == (["opening"], ["helper says"], ["attention"])


def test_without_a_script_every_question_is_refused_and_the_refusal_says_what_to_pass() -> None:
    person = ScriptedPerson()
    with pytest.raises(UnexpectedQuestion, match=r"open a URL.*browser="):
        person.open_url("http://127.0.0.1/")
    with pytest.raises(UnexpectedQuestion, match=r"pasted code.*paste="):
        person.read_code("code?", threading.Event())
    with pytest.raises(UnexpectedQuestion, match=r"another device.*device="):
        person.show_device_code("ABCD", "http://127.0.0.1/device", None)
    assert person.opened
    assert person.prompts
    assert person.device_codes


def test_a_refusal_fails_a_test_as_an_assertion_does() -> None:
    assert issubclass(UnexpectedQuestion, AssertionError)


def test_the_browser_runs_on_a_thread_of_its_own() -> None:
    threads: list[threading.Thread] = []
    with ScriptedPerson(browser=lambda _: threads.append(threading.current_thread())) as person:
        person.open_url("http://127.0.0.1/a")
    assert threads != [threading.current_thread()]
    assert person.opened == ["http://127.0.0.1/a"]


def test_a_person_with_a_browser_leaves_the_code_unanswered_until_it_is_given_up() -> None:
    person = ScriptedPerson(browser=lambda _: None)
    given_up = threading.Event()
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(person.read_code("code?", given_up)), daemon=True)
    thread.start()
    assert thread.is_alive()
    given_up.set()
    thread.join(10)
    assert answers == [None]


def test_a_fixed_paste_is_answered() -> None:
    code = ScriptedPerson(paste="code#state").read_code("code?", threading.Event())
    assert code is not None
    assert code.reveal() == "code#state"


def test_a_paste_can_be_made_from_all_urls_seen() -> None:
    seen: list[Sequence[str]] = []

    def paste(urls: Sequence[str]) -> str:
        seen.append(urls)
        return "pasted"

    person = ScriptedPerson(paste=paste)
    person.open_url("http://127.0.0.1/loopback")
    person.notice("Or open http://127.0.0.1/noticed elsewhere")
    person.read_code("Open http://127.0.0.1/manual?a=1&b=2 and paste the code: ", threading.Event())
    assert seen == [
        ("http://127.0.0.1/loopback", "http://127.0.0.1/noticed", "http://127.0.0.1/manual?a=1&b=2"),
    ]


def test_the_device_script_gets_the_code() -> None:
    shown: list[tuple[str, str, str | None]] = []
    with ScriptedPerson(device=lambda *arguments: shown.append(arguments)) as person:
        person.show_device_code("ABCD-EFGH", "http://127.0.0.1/device", None)
    assert shown == person.device_codes == [("ABCD-EFGH", "http://127.0.0.1/device", None)]


def test_what_goes_wrong_in_the_browser_fails_the_test() -> None:
    def crash(url: str) -> None:
        raise OSError(url)

    person = ScriptedPerson(browser=crash)
    person.open_url("http://127.0.0.1/x")
    with pytest.raises(OSError, match=r"http://127.0.0.1/x"):
        person.finish()


def test_the_test_s_own_error_comes_before_the_browser_s() -> None:
    def crash(url: str) -> None:
        raise OSError(url)

    def use_it() -> None:
        with ScriptedPerson(browser=crash) as person:
            person.open_url("http://127.0.0.1/x")
            raise KeyError

    with pytest.raises(KeyError):
        use_it()


def test_a_browser_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey.testing.person._PATIENCE", 0.01)
    stop = threading.Event()
    person = ScriptedPerson(browser=lambda _: stop.wait())
    person.open_url("http://127.0.0.1/")
    with pytest.raises(TimeoutError, match="did not come to an end"):
        person.finish()
    stop.set()


def test_questions_of_yes_or_no_are_answered_by_script() -> None:
    assert ScriptedPerson(confirm=True).confirm("Use it?")
    choosy = ScriptedPerson(confirm=lambda question: "API key" in question)
    assert [choosy.confirm("Use the API key?"), choosy.confirm("Use the token?")] == [True, False]
    assert choosy.questions == ["Use the API key?", "Use the token?"]
    with pytest.raises(UnexpectedQuestion, match="confirm="):
        ScriptedPerson().confirm("Use it?")
