"""Does `bitnet chat` hold a conversation, with a person at a terminal and with a script?"""
import json
import stat
import time

import pytest
import tiny_model
from terminal import Terminal

PROMPT = "> "


@pytest.fixture
def chat(bitnet):
    """Starts a chat at a terminal and waits for its prompt."""
    terminals = []

    def start(model, *flags, **environment):
        arguments = [bitnet.path, "chat", "-m", model, "--seed", "1", *flags]
        terminals.append(Terminal(arguments, bitnet.environment(**({"NO_COLOR": "1"} | environment)), bitnet.home))
        terminals[-1].wait_for("Ctrl-D leaves.")
        terminals[-1].wait_for(PROMPT if environment.get("NO_COLOR") != "" else "\x1b[0m ")
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def leave(terminal):
    terminal.wait_for(PROMPT)
    terminal.type("\x04")
    assert terminal.exit_code() == 0


def scripted(bitnet, model, script, *flags, code=0):
    result = bitnet("chat", "-m", model, "-n", 4, "--seed", 1, "--temp", 2, *flags, stdin=script.encode())
    assert result.returncode == code, result.stderr
    return result.stdout.decode(), result.stderr.decode()


def saved(bitnet, name="saved.json"):
    return [(message["role"], message["content"]) for message in json.loads((bitnet.home / name).read_text())["messages"]]


# ---- with a script

def test_only_answers_go_to_standard_output(bitnet, model):
    out, err = scripted(bitnet, model, "hello\n/help\n/params\n/sing\n/save saved.json\n")
    assert out == saved(bitnet)[1][1] + "\n"
    assert PROMPT not in err and "/retry" in err and "top-k" in err and "no command /sing; /help lists them" in err


def test_the_conversation_is_kept_and_changed(bitnet, model):
    lines = ["/system be brief", "hello", "world", "/save two.json", "/undo", "/save one.json", "/edit hallo", "/save edited.json",
             "/clear", "/save none.json"]
    scripted(bitnet, model, "\n".join(lines))
    two, one, edited = (saved(bitnet, f"{name}.json") for name in ("two", "one", "edited"))
    assert [role for role, _ in two] == ["system", "user", "assistant", "user", "assistant"]
    assert two[0] == ("system", "be brief") and two[1] == ("user", "hello") and two[3] == ("user", "world")
    assert one == two[:3]
    assert edited[:2] == [("system", "be brief"), ("user", "hallo")] and len(edited) == 3
    assert saved(bitnet, "none.json") == [("system", "be brief")]


def test_retry_answers_again_and_differs(bitnet, model):
    scripted(bitnet, model, "hello\n/save first.json\n/retry\n/save second.json\n/regen\n/save third.json\n", "-n", 12)
    answers = [saved(bitnet, f"{name}.json") for name in ("first", "second", "third")]
    assert all(conversation[0] == ("user", "hello") and len(conversation) == 2 for conversation in answers)
    assert len({conversation[1][1] for conversation in answers}) == 3


def test_a_saved_conversation_goes_on(bitnet, model):
    scripted(bitnet, model, "hello\n/save saved.json\n")
    scripted(bitnet, model, "/load saved.json\nworld\n/save more.json\n")
    assert saved(bitnet, "more.json")[:3] == [*saved(bitnet), ("user", "world")]


def test_export_writes_markdown(bitnet, model):
    scripted(bitnet, model, "hello\n/export md chat.md\n/export json chat.json\n/save saved.json\n")
    assert (bitnet.home / "chat.md").read_text().startswith("**user:**\n\nhello\n\n**assistant:**\n\n")
    assert saved(bitnet, "chat.json") == saved(bitnet)


@pytest.mark.parametrize(
    "content, fact",
    [
        ("[]", "array 'messages'"),
        ("{", "array 'messages'"),
        ('{"messages": [1]}', "messages[0] has no string 'role'"),
        ('{"messages": [{"role": "user"}]}', "'content'"),
        ('{"messages": [{"role": "tool", "content": ""}]}', "role 'tool'"),
    ],
)
def test_a_broken_saved_conversation_is_refused(bitnet, model, content, fact):
    (bitnet.home / "bad.json").write_text(content)
    out, err = scripted(bitnet, model, "/load bad.json\n", code=2)
    assert fact in err and out == ""


def test_messages_of_several_lines(bitnet, model):
    scripted(bitnet, model, 'one\\\ntwo\n"""three\n\nfour"""\n"""five"""\n//slash\n   \n/save saved.json\n')
    assert [text for role, text in saved(bitnet) if role == "user"] == ["one\ntwo", "three\n\nfour", "five", "/slash"]


def test_settings_change_the_next_answer(bitnet, model):
    out, err = scripted(bitnet, model, "/set temp 0\n/set top_k 3\n/set max-tokens 2\n/set seed 9\n/params\nhello\n/stats\n", "--ignore-eos")
    for line in ("  temp              0 ", "  top-k             3 ", "  max-tokens        2 ", "  seed              9\n"):
        assert line in err
    assert "generated 2 " in err


@pytest.mark.parametrize(
    "line",
    ["/set temp", "/set temp warm", "/set temp 1000", "/set warmth 1", "/set top-k 1.5", "/save", "/edit", "/retry", "/export pdf x",
     "/load absent.json"],
)
def test_a_wrong_command_ends_a_script(bitnet, model, line):
    out, err = scripted(bitnet, model, line + "\nhello\n", code=3 if "absent" in line else 2)
    assert out == "" and err.startswith("bitnet: ") and err.count("\n") == 1


def test_the_prompt_is_reused(bitnet, model):
    _, err = scripted(bitnet, model, "hello hello hello\nworld\n/stats\n/ctx\n/tokens\n/tokens hello\n", "--stats")
    first, second = [line for line in err.splitlines() if "cached" in line][:2]
    assert "(0 cached)" in first and "(0 cached)" not in second
    assert "of 4096 positions used" in err and "hello hello hello" in err and f"1 token: {tiny_model.token_id('hello')} 'hello'" in err


def test_a_full_context_is_explained(bitnet, models):
    out, err = scripted(bitnet, models / "short.gguf", "x" * 100 + "\n", code=5)
    assert out == "" and "the context holds 64" in err and "/clear" in err
    out, err = scripted(bitnet, models / "short.gguf", "hello\n", "-n", -1, "--ignore-eos")
    assert out and "context of 64 positions is full" in err


def test_a_model_without_template_is_sent_to_run(bitnet, models):
    for name in ("no_template.gguf", "no_tokenizer.gguf"):
        assert "`bitnet run`" in bitnet.refusal(2, "chat", "-m", models / name)


# ---- with a person

def test_ctrl_d_leaves(chat, model):
    terminal = chat(model)
    terminal.type("\x04")
    assert terminal.exit_code() == 0


def test_ctrl_d_typed_during_an_answer_leaves_after_it(chat, models):
    terminal = chat(models / "long.gguf", "-n", "3000", "-t", "1", "--ignore-eos")
    terminal.type("hello\r")
    terminal.wait_for("\n")
    time.sleep(0.2)
    terminal.type("\x04")
    assert terminal.exit_code() == 0


@pytest.mark.parametrize("word", ["/exit", "/bye", "/quit"])
def test_a_word_leaves(chat, model, word):
    terminal = chat(model)
    terminal.type(word + "\r")
    assert terminal.exit_code() == 0


def test_ctrl_c_stops_an_answer_and_keeps_the_conversation(chat, bitnet, models):
    terminal = chat(models / "long.gguf", "-n", "-1", "--ignore-eos")
    terminal.type("hello\r")
    terminal.wait_for("hello")
    assert terminal.alive()
    time.sleep(0.5)  # the answer has no end of its own
    terminal.type("\x03")
    terminal.wait_for("bitnet: stopped")
    terminal.wait_for(PROMPT)
    terminal.type("/save saved.json\r")
    terminal.wait_for("saved 2 messages")
    leave(terminal)
    (_, hello), (role, answer) = saved(bitnet)
    assert hello == "hello" and role == "assistant" and len(answer) > 0


def test_ctrl_c_at_the_prompt_clears_the_line(chat, bitnet, model):
    terminal = chat(model, "-n", "2")
    terminal.type("half a though")
    terminal.wait_for("though")
    terminal.type("\x03")
    terminal.wait_for("Ctrl-D or /exit leaves")
    terminal.wait_for(PROMPT)
    terminal.type("hello\r")
    terminal.wait_for("hello")
    terminal.wait_for(PROMPT)
    terminal.type("/save saved.json\r")
    terminal.wait_for("saved 2 messages")
    assert saved(bitnet)[0] == ("user", "hello")


def test_errors_do_not_end_a_conversation(chat, model):
    terminal = chat(model, "-n", "2")
    terminal.type("/load absent.json\r")
    terminal.wait_for("bitnet: absent.json: cannot open")
    terminal.wait_for(PROMPT)
    terminal.type("/nonsense\r")
    terminal.wait_for("no command /nonsense")
    leave(terminal)


def test_lines_can_be_edited_beyond_ascii(chat, bitnet, model):
    terminal = chat(model, "-n", "2", LC_ALL="C")
    terminal.type("gr\u00fc\u00dfx\x7fe \U0001f642\x01h\u00e4 \r")
    terminal.wait_for("\n")
    terminal.wait_for(PROMPT)
    terminal.type("/save saved.json\r")
    terminal.wait_for("saved 2 messages")
    assert saved(bitnet)[0] == ("user", "h\u00e4 gr\u00fc\u00dfe \U0001f642")


def test_history_outlives_the_program(chat, bitnet, model):
    terminal = chat(model, "-n", "2")
    terminal.type("a memorable line\r")
    terminal.wait_for("line")
    leave(terminal)
    history = bitnet.home / "state" / "bitnet" / "history"
    assert "memorable" in history.read_text() and stat.S_IMODE(history.stat().st_mode) == 0o600
    again = chat(model, "-n", "2")
    again.type("\x1b[A")
    again.wait_for("a memorable line")


def test_history_can_be_off(chat, bitnet, model):
    terminal = chat(model, "-n", "2", BITNET_NOHISTORY="1")
    terminal.type("a secret\r")
    terminal.wait_for("secret")
    leave(terminal)
    assert not (bitnet.home / "state").exists()


def test_colour_is_for_those_who_want_it(chat, model):
    for no_colour, wanted in (("1", False), ("", True)):
        terminal = chat(model, NO_COLOR=no_colour)
        terminal.type("\r")
        terminal.wait_for("\x1b[1;36m>\x1b[0m " if wanted else PROMPT)
        assert terminal.seen == b""
