"""Do `bitnet tokenize` and `detokenize` turn text into ids and back, alone and by the file?"""
import json

import pytest
import tiny_model

BEGIN, HELLO, END = (tiny_model.token_id(text) for text in ("<|begin|>", "hello", "<|im_end|>"))


def byte(text):
    return tiny_model.token_id(tiny_model.byte_letters()[ord(text)])


def test_readable_lines(bitnet, model):
    lines = bitnet.text("tokenize", "-m", model, "hello\n<|im_end|>").splitlines()
    assert lines == [f"{BEGIN} '<|begin|>'", f"{HELLO} 'hello'", f"{byte(chr(10))} '\\x0a'", f"{END} '<|im_end|>'"]


@pytest.mark.parametrize(
    "flags, expected",
    [
        ([], [BEGIN, HELLO, END]),
        (["--no-special"], [HELLO, END]),
        (["--no-special", "--no-parse-special"], [HELLO, *map(byte, "<|im_end|>")]),
    ],
)
def test_flags_for_special_tokens(bitnet, model, flags, expected):
    assert json.loads(bitnet.text("tokenize", "-m", model, "--format", "json", *flags, "hello<|im_end|>")) == expected


def test_standard_input_is_taken_to_its_last_byte(bitnet, model):
    assert json.loads(bitnet.text("tokenize", "-m", model, "--format", "json", "--no-special", stdin=b"hello\n")) == [HELLO, byte("\n")]


def test_a_vocabulary_alone_will_do(bitnet, models):
    for flag in ("-m", "--tokenizer"):
        assert json.loads(bitnet.text("tokenize", flag, models / "vocabulary.gguf", "--format", "json", "hello")) == [BEGIN, HELLO]


def test_a_file_of_lines_there_and_back(bitnet, model, tmp_path):
    texts = ["hello", "", "a\nb\u2028c", "grüße 🙂", " world", "<|im_end|>"]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    assert bitnet.text("tokenize", "-m", model, "--in", "texts.jsonl", "--out", "ids.jsonl", "--no-special") == ""
    ids = [json.loads(line) for line in (tmp_path / "ids.jsonl").read_text().splitlines()]
    assert ids[0] == [HELLO] and ids[1] == [] and ids[5] == [END]
    assert bitnet.text("detokenize", "-m", model, "--in", "ids.jsonl", "--out", "back.jsonl") == ""
    assert [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().split("\n")[:-1]] == texts
    assert bitnet.text("tokenize", "-m", model, "--in", "-", "--no-special", stdin=b'"hello"\n') == f"[{HELLO}]\n"


@pytest.mark.parametrize("line", ['["a"]', "5", "hello", '"open', "", '"\\ud800"'])
def test_a_line_that_is_no_string_is_named(bitnet, model, tmp_path, line):
    (tmp_path / "texts.jsonl").write_text(f'"fine"\n{line}\n"fine"\n')
    assert "texts.jsonl: line 2: not a JSON string" in bitnet.refusal(2, "tokenize", "-m", model, "--in", "texts.jsonl", "--out", "ids.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.jsonl"]


@pytest.mark.parametrize("line, fact", [("[1, -2]", "entry 2 is not a token id"), ("[99999]", "id 99999 is outside the vocabulary"), ('"x"', "not a JSON array"), ("[1.5]", "entry 1")])
def test_a_line_that_is_no_ids_is_named(bitnet, model, tmp_path, line, fact):
    (tmp_path / "ids.jsonl").write_text(line + "\n")
    assert f"ids.jsonl: line 1: {fact}" in bitnet.refusal(2, "detokenize", "-m", model, "--in", "ids.jsonl")


def test_ids_as_arguments(bitnet, model):
    assert bitnet.text("detokenize", "-m", model, str(HELLO), f"{END},{HELLO}") == "hello<|im_end|>hello\n"
    assert bitnet.text("detokenize", "-m", model, "--skip-special", "--format", "json", str(HELLO), str(END)) == '"hello"\n'


def test_a_model_without_tokenizer_is_refused(bitnet, models):
    assert "tokenizer.ggml.model" in bitnet.refusal(4, "tokenize", "-m", models / "no_tokenizer.gguf", "x")


def test_files_that_are_no_tokenizer_are_refused(bitnet, tmp_path):
    for content in (b"\x00\x01\x02", b"{", b"{}", b"GGUF"):
        (tmp_path / "file").write_bytes(content)
        bitnet.refusal(4, "tokenize", "--tokenizer", "file", "x")
