"""Does a text that was saved with what was computed of it go on as if it had never been put away?"""
import json

import pytest
import tiny_model


def run_json(bitnet, model, *arguments):
    return json.loads(bitnet.text("run", "-m", model, "--format", "json", "--temp", 0, "--ignore-eos", *arguments))


@pytest.mark.parametrize("kv", ["f16", "int8", "f32"])
def test_a_saved_text_goes_on_as_one_that_was_not(bitnet, model, tmp_path, kv):
    state = tmp_path / "text.state"
    whole = run_json(bitnet, model, "--kv", kv, "-n", 40, "hello world")
    first = run_json(bitnet, model, "--kv", kv, "-n", 15, "--save-state", state, "hello world")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.state"]
    rest = run_json(bitnet, model, "--kv", kv, "-n", 25, "--load-state", state, "-t", 2, "--chunk", 7)
    assert first["ids"] + rest["ids"] == whole["ids"]
    assert rest["prompt_ids"] == first["prompt_ids"] + first["ids"]
    assert rest["timings"]["cached_tokens"] == len(rest["prompt_ids"]) - 1


def test_a_prompt_comes_behind_the_saved_text(bitnet, model, tmp_path):
    state = tmp_path / "text.state"
    first = run_json(bitnet, model, "-n", 5, "--save-state", state, "hello")
    rest = run_json(bitnet, model, "-n", 5, "--load-state", state, "--save-state", state, " world")
    ids = first["prompt_ids"] + first["ids"] + [tiny_model.token_id(t) for t in ("Ġworld",) if t in tiny_model.tokens()]
    assert rest["prompt_ids"][:len(first["prompt_ids"]) + 5] == ids[:len(first["prompt_ids"]) + 5]
    assert tiny_model.token_id("<|begin|>") not in rest["prompt_ids"][1:]
    again = run_json(bitnet, model, "-n", 3, "--load-state", state)
    assert again["prompt_ids"] == rest["prompt_ids"] + rest["ids"]
    plain = run_json(bitnet, model, "-n", 3, "--ids", ",".join(map(str, again["prompt_ids"])))
    assert again["ids"] == plain["ids"]


def test_what_cannot_be_taken_up_is_one_line(bitnet, model, models, tmp_path):
    state = tmp_path / "text.state"
    run_json(bitnet, model, "-n", 5, "--save-state", state, "hello")
    data = state.read_bytes()
    (tmp_path / "cut.state").write_bytes(data[:-100])
    (tmp_path / "damaged.state").write_bytes(data[:300] + bytes([data[300] ^ 1]) + data[301:])
    tiny_model.write(tmp_path / "other.gguf", seed=5)
    for flags, code, words in [(["--load-state", state, "--kv", "int8"], 2, "holds keys and values as f16"),
                               (["--load-state", state, "-m", tmp_path / "other.gguf"], 2, "another model"),
                               (["--load-state", tmp_path / "cut.state"], 4, "tokens take"),
                               (["--load-state", tmp_path / "damaged.state"], 4, "is damaged"),
                               (["--load-state", model], 4, "no saved state"),
                               (["--load-state", tmp_path / "none.state"], 3, "none.state"),
                               (["--load-state", state, "--chat"], 2, "--load-state"),
                               (["--save-state", tmp_path / "no" / "folder"], 1, "folder")]:
        where = [] if "-m" in flags else ["-m", model]
        result = bitnet("run", *where, "-n", 1, *flags, "hello")
        assert result.returncode == code, (flags, result.stderr)
        assert words in result.stderr.decode() and len(result.stderr.decode().strip().splitlines()) == 1


def test_a_chat_takes_up_what_was_computed(bitnet, model):
    script = "hello\n/save a.json\n/save-state a.state\n"
    flags = ["chat", "-m", model, "-n", 4, "--seed", 1, "--temp", 0]
    assert bitnet(*flags, stdin=script.encode()).returncode == 0
    plain = bitnet(*flags, "--stats", stdin=b"/load a.json\nworld\n")
    quick = bitnet(*flags, "--stats", stdin=b"/load a.json\n/load-state a.state\nworld\n")
    assert (plain.returncode, quick.returncode) == (0, 0)
    assert quick.stdout == plain.stdout
    assert quick.stderr.decode() != plain.stderr.decode()
    assert "what was computed of" in quick.stderr.decode()
