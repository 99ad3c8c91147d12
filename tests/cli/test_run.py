"""Does `bitnet run` continue prompts as its flags say?"""
import json
import re
import signal
import subprocess
import time

import pytest
import tiny_model


def run_json(bitnet, model, *arguments, **options):
    return json.loads(bitnet.text("run", "-m", model, "--format", "json", *arguments, **options))


def prompt_text(answer):
    """The prompt's bytes, by the tiny vocabulary alone."""
    letters = {letter: byte for byte, letter in tiny_model.byte_letters().items()}
    vocabulary = tiny_model.tokens()
    plain = [vocabulary[i] for i in answer["prompt_ids"] if vocabulary[i] not in tiny_model.SPECIAL]
    return bytes(letters[letter] for token in plain for letter in token).decode()


def test_text_and_json_hold_the_same(bitnet, model):
    flags = ["-m", model, "-p", "hello", "-n", 12, "--temp", 0]
    answer = run_json(bitnet, model, *flags[2:])
    assert list(answer) == ["text", "ids", "prompt_ids", "finish_reason", "seed", "timings"]
    assert len(answer["ids"]) == 12 and answer["finish_reason"] == "length"
    assert answer["prompt_ids"] == [tiny_model.token_id("<|begin|>"), tiny_model.token_id("hello")]
    assert bitnet.text("run", *flags).removesuffix("\n") == answer["text"].removesuffix("\n")


def test_json_lines_add_up_to_the_text(bitnet, model):
    out = bitnet.text("run", "-m", model, "--format", "jsonl", "--seed", 5, "-n", 20, "hello")
    lines = [json.loads(line) for line in out.splitlines()]
    assert "".join(line["text"] for line in lines[:-1]) == lines[-1]["text"]
    assert lines[-1]["finish_reason"] in ("length", "stop")


@pytest.mark.parametrize(
    "flags, stdin",
    [(["he said"], b""), (["-p", "he said"], b""), (["said"], b"he "), ([], b"he said"), (["-f", "-"], b"he said")],
)
def test_the_prompt_has_several_ways_in(bitnet, model, flags, stdin):
    assert prompt_text(run_json(bitnet, model, *flags, "-n", 1, stdin=stdin)) == "he said"


def test_the_prompt_may_come_from_a_file(bitnet, model, tmp_path):
    (tmp_path / "prompt.txt").write_text("grüß dich\n")
    assert prompt_text(run_json(bitnet, model, "-f", "prompt.txt", "-n", 1)) == "grüß dich\n"
    assert "absent.txt" in bitnet.refusal(3, "run", "-m", model, "-f", "absent.txt")


def test_a_prompt_may_be_named_like_a_command(bitnet, model):
    assert prompt_text(run_json(bitnet, model, "chat", "-n", 1)) == "chat"


def test_ids_serve_models_without_tokenizer(bitnet, models):
    answer = run_json(bitnet, models / "no_tokenizer.gguf", "--ids", "1, 2,3", "-n", 4, "--temp", 0)
    assert answer["prompt_ids"] == [1, 2, 3] and answer["text"] == "" and len(answer["ids"]) == 4
    assert "--ids" in bitnet.refusal(2, "run", "-m", models / "no_tokenizer.gguf", "hello")


def test_the_seed_decides(bitnet, model):
    def ids(*flags):
        return run_json(bitnet, model, "hello", "-n", 30, "--temp", 2, *flags)["ids"]

    assert ids("--seed", 7) == ids("--seed", 7, "-t", 1, "--chunk", 1)
    assert ids("--seed", 7) != ids("--seed", 8)
    answer = run_json(bitnet, model, "hello", "-n", 30, "--temp", 2)
    assert answer["ids"] == ids("--seed", answer["seed"])


def test_logit_bias_forces_and_bans(bitnet, model):
    flags = ["hello", "-n", 6, "--temp", 0]
    first = run_json(bitnet, model, *flags)["ids"][0]
    for form in ("{}-inf", "{}=-inf"):
        assert first not in run_json(bitnet, model, *flags, "--logit-bias", form.format(first))["ids"]
    for form in ("65+1000", "65=1000"):
        assert run_json(bitnet, model, *flags, "--logit-bias", form)["ids"] == [65] * 6


def test_stop_ends_before_the_text(bitnet, model):
    flags = ["hello", "-n", 20, "--temp", 0]
    force = ["--logit-bias", "65=1000"]
    text = run_json(bitnet, model, *flags, *force)["text"]
    assert len(set(text)) == 1
    answer = run_json(bitnet, model, *flags, *force, "--stop", text[:3], "--stop", "other")
    assert (answer["text"], answer["finish_reason"]) == ("", "stop")


def test_the_end_token_ends_the_text(bitnet, model):
    end = tiny_model.token_id("<|im_end|>")
    flags = ["hello", "-n", 5, "--temp", 0, "--logit-bias", f"{end}=1000"]
    answer = run_json(bitnet, model, *flags)
    assert (answer["ids"], answer["text"], answer["finish_reason"]) == ([end], "", "stop")
    assert run_json(bitnet, model, *flags, "--ignore-eos")["ids"] == [end] * 5


def test_chat_wraps_the_prompt_in_turns(bitnet, models, model):
    answer = run_json(bitnet, model, "--chat", "--system", "be brief", "hello", "-n", 1)
    start = tiny_model.token_id("<|im_start|>")
    assert answer["prompt_ids"].count(start) == 3
    assert prompt_text(answer) == "system\nbe brief\nuser\nhello\nassistant\n"
    assert "no chat template" in bitnet.refusal(2, "run", "-m", models / "no_template.gguf", "--chat", "hello")


def test_stats_are_one_line_on_standard_error(bitnet, model):
    result = bitnet("run", "-m", model, "hello", "-n", 5, "--seed", 3, "--stats")
    line = result.stderr.decode()
    assert result.returncode == 0 and line.count("\n") == 1
    for part in ("prompt 2 tokens", "generated 5", "first token after", "0 cached", "memory", "seed 3"):
        assert part in line


def test_prompt_lookup_never_changes_the_text(bitnet, model):
    flags = ["he said he said he said", "-n", 40, "--temp", 1, "--seed", 4, "--ignore-eos"]
    plain = run_json(bitnet, model, *flags, "--prompt-lookup", "off")
    assert plain["timings"]["drafted_tokens"] == plain["timings"]["accepted_tokens"] == 0
    for lookup in ("auto", 1, 7, 64):
        assert run_json(bitnet, model, *flags, "--prompt-lookup", lookup)["ids"] == plain["ids"]


def test_prompt_lookup_finds_what_repeats(bitnet, model):
    """A forced token repeats itself: 2 tokens of it give the hint, and from then on every draft comes true."""
    flags = ["hello", "-n", 31, "--temp", 0, "--logit-bias", "65=1000", "--prompt-lookup", 4]
    timings = run_json(bitnet, model, *flags)["timings"]
    assert timings["drafted_tokens"] == timings["accepted_tokens"] > 20
    line = bitnet("run", "-m", model, *flags, "--stats").stderr.decode()
    assert f"{timings['accepted_tokens']} of {timings['drafted_tokens']} drafts came true" in line


@pytest.mark.parametrize("lookup", ["0", "65", "-1", "on", "3x"])
@pytest.mark.parametrize("command", ["run", "chat"])
def test_prompt_lookup_out_of_bounds_is_refused(bitnet, model, command, lookup):
    line = bitnet.refusal(2, command, "-m", model, f"--prompt-lookup={lookup}", stdin=b"hello")
    assert "allowed are auto, off and 1 to 64" in line


def start_endless(bitnet, models, *flags):
    pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return bitnet.start("run", "-m", models / "long.gguf", "-n", -1, "--ignore-eos", *flags, "hello", **pipes)


def test_the_text_flows_while_it_is_made(bitnet, models):
    process = start_endless(bitnet, models)
    assert process.stdout.read(100)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.endswith(b"\n") and err == b""


def test_an_interrupted_object_is_whole(bitnet, models):
    process = start_endless(bitnet, models, "--format", "json")
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    answer = json.loads(process.communicate(timeout=60)[0])
    assert (process.returncode, answer["finish_reason"]) == (130, "cancelled")
    assert len(answer["ids"]) > 0


def test_a_reader_that_leaves_ends_it_quietly(bitnet, models):
    process = start_endless(bitnet, models)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0


def test_invalid_utf8_goes_in_and_only_utf8_comes_out(bitnet, model):
    out = bitnet("run", "-m", model, "-n", 200, "--temp", 5, "--ignore-eos", "--seed", 1, stdin=b"\xff\xfe broken \xc3").stdout
    assert "\ufffd" in out.decode()


def test_constraints_hold_the_text(bitnet, model, tmp_path):
    (tmp_path / "list.gbnf").write_text('root ::= "- " [a-z]{3} ("\\n- " [a-z]{2})?\n')
    (tmp_path / "schema.json").write_text('{"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}')
    for flags, pattern in [
        (["--grammar", "list.gbnf"], r"- [a-z]{3}(\n- [a-z]{2})?"),
        (["--regex", "[0-9]{4}-[0-9]{2}"], r"[0-9]{4}-[0-9]{2}"),
        (["--choice", "red", "--choice", "dark green"], r"red|dark green"),
        (["--json-schema", "schema.json"], r"\[\s*(true|false),\s*(true|false)\s*\]"),
        (["--json-schema", ' {"enum": ["x", 7]}'], r'"x"|7'),
        (["--json-schema", "true", "--logit-bias", f"{tiny_model.token_id('n')}=100"], "null"),
    ]:
        for seed in (1, 2):
            answer = run_json(bitnet, model, "-p", "hello", "-n", 100, "--seed", seed, *flags)
            assert re.fullmatch(pattern, answer["text"]) and answer["finish_reason"] == "stop", (flags, answer["text"])


@pytest.mark.parametrize(
    "flags, fact",
    [
        (["--regex", "a", "--choice", "b"], "give one of --json-schema, --grammar, --regex and --choice"),
        (["--regex", "(a"], "regex, line 1, character 3: ')' is expected"),
        (["--json-schema", '{"type":"object","patternProperties":{}}'], "at #: the keyword 'patternProperties' is not supported"),
        (["--json-schema", "{"], "is no JSON"),
        (["--choice", "a", "--choice", ""], "choice 2 is empty"),
    ],
)
def test_what_cannot_be_held_is_refused(bitnet, model, flags, fact):
    assert fact in bitnet.refusal(2, "run", "-m", model, "-p", "hello", *flags)


def test_a_constraint_needs_its_file_and_a_tokenizer(bitnet, models):
    assert "absent.json" in bitnet.refusal(3, "run", "-m", models / "tiny.gguf", "-p", "x", "--json-schema", "absent.json")
    assert "a constraint needs one" in bitnet.refusal(2, "run", "-m", models / "no_tokenizer.gguf", "--ids", "1", "--regex", "a")
