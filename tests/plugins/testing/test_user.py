from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from freshkey.model.interaction import Interaction
from freshkey.secret import Secret
from freshkey_testing import ScriptedUser, UnexpectedQuestion


def test_messages_are_recorded() -> None:
    user = ScriptedUser()
    as_interaction: Interaction = user
    as_interaction.progress("opening")
    as_interaction.line("helper says")
    as_interaction.notice("attention")
    assert (user.progress_messages, user.lines, user.notices) == (["opening"], ["helper says"], ["attention"])


def test_without_a_script_every_question_fails_and_the_error_names_the_argument() -> None:
    user = ScriptedUser()
    with pytest.raises(UnexpectedQuestion, match=r"browser=.*paste="):
        user.open_url("http://127.0.0.1/")
    with pytest.raises(UnexpectedQuestion, match=r"paste=.*browser="):
        user.read_code("code?", threading.Event())
    with pytest.raises(UnexpectedQuestion, match="device="):
        user.show_device_code("ABCD", "http://127.0.0.1/device", None)
    assert user.opened
    assert user.prompts
    assert user.device_codes


def test_unexpected_question_is_an_assertion_error() -> None:
    assert issubclass(UnexpectedQuestion, AssertionError)


def test_the_browser_runs_on_a_separate_thread() -> None:
    threads: list[threading.Thread] = []
    with ScriptedUser(browser=lambda _: threads.append(threading.current_thread())) as user:
        user.open_url("http://127.0.0.1/a")
    assert threads != [threading.current_thread()]
    assert user.opened == ["http://127.0.0.1/a"]


def test_a_user_with_a_browser_leaves_the_code_prompt_unanswered_until_it_is_given_up() -> None:
    user = ScriptedUser(browser=lambda _: None)
    given_up = threading.Event()
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(user.read_code("code?", given_up)), daemon=True)
    thread.start()
    assert thread.is_alive()
    given_up.set()
    thread.join(10)
    assert answers == [None]


def test_a_fixed_paste_is_returned() -> None:
    code = ScriptedUser(paste="code#state").read_code("code?", threading.Event())
    assert code is not None
    assert code.reveal() == "code#state"


def test_a_paste_can_be_made_from_all_urls_seen() -> None:
    seen: list[Sequence[str]] = []

    def paste(urls: Sequence[str]) -> str:
        seen.append(urls)
        return "pasted"

    user = ScriptedUser(paste=paste)
    user.open_url("http://127.0.0.1/loopback")
    user.notice("Or open http://127.0.0.1/noticed elsewhere")
    user.read_code("Open http://127.0.0.1/manual?a=1&b=2 and paste the code: ", threading.Event())
    assert seen == [
        ("http://127.0.0.1/loopback", "http://127.0.0.1/noticed", "http://127.0.0.1/manual?a=1&b=2"),
    ]


def test_the_device_script_gets_the_code() -> None:
    shown: list[tuple[str, str, str | None]] = []
    with ScriptedUser(device=lambda *arguments: shown.append(arguments)) as user:
        user.show_device_code("ABCD-EFGH", "http://127.0.0.1/device", None)
    assert shown == user.device_codes == [("ABCD-EFGH", "http://127.0.0.1/device", None)]


def test_an_exception_in_the_browser_fails_the_test() -> None:
    def crash(url: str) -> None:
        raise OSError(url)

    user = ScriptedUser(browser=crash)
    user.open_url("http://127.0.0.1/x")
    with pytest.raises(OSError, match=r"http://127.0.0.1/x"):
        user.finish()


def test_the_error_of_the_test_takes_precedence_over_that_of_the_browser() -> None:
    def crash(url: str) -> None:
        raise OSError(url)

    def use_it() -> None:
        with ScriptedUser(browser=crash) as user:
            user.open_url("http://127.0.0.1/x")
            raise KeyError

    with pytest.raises(KeyError):
        use_it()


def test_a_browser_that_never_finishes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey_testing.user._WAIT_TIMEOUT", 0.01)
    stop = threading.Event()
    user = ScriptedUser(browser=lambda _: stop.wait())
    user.open_url("http://127.0.0.1/")
    with pytest.raises(TimeoutError):
        user.finish()
    stop.set()


def test_yes_or_no_questions_get_scripted_answers() -> None:
    assert ScriptedUser(confirm=True).confirm("Use it?")
    choosy = ScriptedUser(confirm=lambda question: "API key" in question)
    assert [choosy.confirm("Use the API key?"), choosy.confirm("Use the token?")] == [True, False]
    assert choosy.questions == ["Use the API key?", "Use the token?"]
    with pytest.raises(UnexpectedQuestion, match="confirm="):
        ScriptedUser().confirm("Use it?")


def test_texts_secrets_and_choices_are_scripted() -> None:
    user = ScriptedUser(text="Ada", secret=lambda prompt: f"for {prompt}", choice=lambda _, options: max(options))
    user.require_attended()
    assert user.read_text("Name?") == "Ada"
    assert user.read_secret("Key?") == Secret("for Key?")
    assert user.choose("Which?", {"a": "A", "b": "B"}) == "b"
    assert user.prompts == ["Name?", "Key?", "Which?"]
    assert user.offered == [{"a": "A", "b": "B"}]


@pytest.mark.parametrize(
    ("ask", "fix"),
    [
        (lambda user: user.read_text("Name?"), "text="),
        (lambda user: user.read_secret("Key?"), "secret="),
        (lambda user: user.choose("Which?", {"a": "A"}), "choice="),
    ],
)
def test_what_is_not_scripted_is_unexpected(ask: Callable[[ScriptedUser], object], fix: str) -> None:
    with pytest.raises(UnexpectedQuestion, match=fix):
        ask(ScriptedUser())


def test_a_choice_that_is_not_offered_is_unexpected() -> None:
    with pytest.raises(UnexpectedQuestion, match="one of a, b"):
        ScriptedUser(choice="c").choose("Which?", {"a": "A", "b": "B"})


def test_another_sign_in_is_not_answered_with_what_the_first_showed() -> None:
    user = ScriptedUser(paste=" ".join)
    answers = []
    for number in (1, 2):
        user.begin_again()
        user.notice(f"Open https://id.example/notice/{number}")
        code = user.read_code(f"Code from https://id.example/prompt/{number} ", threading.Event())
        answers.append(code and code.reveal())

    assert answers == [f"https://id.example/notice/{n} https://id.example/prompt/{n}" for n in (1, 2)]
    assert len(user.prompts) == 2
