"""Do all commands take a HuggingFace folder where they take a GGUF file, and say of it what is there?"""
import json
import shutil
import struct
import time

import numpy as np
import pytest
import tiny_model

GREEDY = ["-n", 12, "--temp", 0, "--format", "json"]


@pytest.fixture
def copy(folder, tmp_path):
    """A folder of its own, to be changed."""
    return shutil.copytree(folder, tmp_path / "copy")


def test_a_folder_answers_as_its_gguf_file(bitnet, model, folder):
    for prompt in (["-p", "hello w"], ["--chat", "-p", "hello"], ["--ids", "5,6,7"]):
        answers = [json.loads(bitnet.text("run", "-m", m, *prompt, *GREEDY)) for m in (model, folder, folder / "model.safetensors")]
        assert answers[0]["ids"] == answers[1]["ids"] == answers[2]["ids"] and len(answers[0]["ids"]) > 0
        assert answers[0]["prompt_ids"] == answers[1]["prompt_ids"] and answers[0]["text"] == answers[1]["text"]


def test_a_folder_chats(bitnet, model, folder):
    said = [bitnet("chat", "-m", m, "--temp", 0, "-n", 8, stdin=b"hello\nhello w\n") for m in (model, folder)]
    assert said[0].returncode == said[1].returncode == 0 and said[0].stdout == said[1].stdout != b""


def test_logits_and_bench(bitnet, model, folder):
    for name, m in (("a.npy", model), ("b.npy", folder)):
        bitnet.text("logits", "-m", m, "-p", "hello", "--out", name)
    assert (bitnet.home / "a.npy").read_bytes() == (bitnet.home / "b.npy").read_bytes()
    done = bitnet("bench", "-m", folder, "-p", 4, "-n", 2, "-r", 1, "-t", 1, "-o", "json")
    rows = json.loads(done.stdout)
    assert done.returncode == 0 and [row["test"] for row in rows] == ["pp4", "tg2"] and rows[0]["model"] == str(folder)


def test_tokenize(bitnet, model, folder):
    text = "hello world\u00e9 <|im_end|>\n"
    expected = bitnet.text("tokenize", "-m", model, "--format", "json", text)
    for flags in (["-m", folder], ["--tokenizer", folder], ["-m", folder / "model.safetensors"]):
        assert bitnet.text("tokenize", *flags, "--format", "json", text) == expected
    assert bitnet.text("detokenize", "-m", folder, "--skip-special", *json.loads(expected)) == text.replace("<|im_end|>", "") + "\n"


def test_generation_ends_at_each_token_that_the_folder_names(bitnet, copy):
    run = ["run", "-m", copy, "--ids", "5,6,7", *GREEDY]
    first, second = json.loads(bitnet.text(*run))["ids"][:2]
    assert first != second
    for eos, count in ((second, 2), ([9, first], 1)):
        (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}))
        answer = json.loads(bitnet.text(*run))
        assert (len(answer["ids"]), answer["finish_reason"]) == (count, "stop")


def test_tokens_are_drawn_as_the_model_recommends_unless_flags_say_otherwise(bitnet, copy):
    run = ["--ids", "5,6,7", "-n", 12, "--seed", 3, "--format", "json"]

    def ids(model, *flags):
        return json.loads(bitnet.text("run", "-m", model, *run, *flags))["ids"]

    warm, greedy = ids(copy), ids(copy, "--temp", 0)
    assert warm != greedy
    (copy / "generation_config.json").write_text(json.dumps({"temperature": 0, "top_k": 5}))
    assert ids(copy) == greedy and ids(copy, "--temp", 0.8, "--top-k", 40) == warm
    bitnet.text("convert", copy, "-o", "recommends.gguf", "--type", "I2_S")
    assert ids("recommends.gguf") == greedy and ids("recommends.gguf", "--temp", 0.8, "--top-k", 40) == warm
    bitnet.text("convert", "recommends.gguf", "-o", "recommends", "--type", "hf")
    config = json.loads((bitnet.home / "recommends" / "generation_config.json").read_text())
    assert (config["temperature"], config["top_k"], config["do_sample"]) == (0, 5, False)
    assert json.loads(bitnet.text("inspect", "recommends", "--json"))["sampling"]["top_k"] == 5
    assert "temperature 0, top-k 5, top-p 0.95" in bitnet.text("inspect", "recommends.gguf")
    (copy / "generation_config.json").write_text(json.dumps({"top_p": 7}))
    assert "generation_config.json: recommends settings that cannot be: top_p is 7" in bitnet.refusal(4, "run", "-m", copy, *run)


def test_a_template_of_its_own_comes_first(bitnet, copy):
    (copy / "chat_template.jinja").write_text("{{ messages[0].content }}")
    answer = json.loads(bitnet.text("run", "-m", copy, "--chat", "-p", "hello", *GREEDY))
    assert answer["prompt_ids"] == [tiny_model.token_id("<|begin|>"), tiny_model.token_id("hello")]


def test_inspect_reports_a_folder(bitnet, model, folder):
    report, expected = (json.loads(bitnet.text("inspect", m, "--json")) for m in (folder, model))
    for key in ("architecture", "parameters", "bits_per_weight", "context", "config", "kv_bytes_per_token", "memory", "chat_template"):
        assert report[key] == expected[key], key
    assert report["name"] == "tiny" and report["file"]["format"] == "SafeTensors"
    assert report["file"]["bytes"] == (folder / "model.safetensors").stat().st_size
    assert report["metadata"]["hidden_size"] == tiny_model.EMBD
    assert report["tokenizer"]["size"] == len(tiny_model.tokens()) and report["tokenizer"]["special"]["eos"]["text"] == "<|im_end|>"
    tensor = next(t for t in report["tensors"] if t["name"] == "model.layers.1.mlp.down_proj.weight")
    assert (tensor["type"], tensor["shape"]) == ("F16", [tiny_model.EMBD, tiny_model.FF])
    text = bitnet.text("inspect", folder)
    for part in ("architecture      bitnet-b1.58", "SafeTensors", "model.layers.0.self_attn.q_proj.weight", "hidden_size = 128", "chat template     yes"):
        assert part in text


def test_inspect_reports_a_file_without_a_config(bitnet, folder, tmp_path):
    shutil.copy(folder / "model.safetensors", tmp_path / "alone.safetensors")
    report = json.loads(bitnet.text("inspect", "alone.safetensors", "--json"))
    assert report["parameters"] == sum(int(np.prod(t["shape"])) for t in report["tensors"])
    assert report["memory"]["weights"] == sum(t["bytes"] for t in report["tensors"])
    assert "no config.json says what they are" in bitnet.text("inspect", "alone.safetensors")
    assert "config.json" in bitnet.refusal(4, "run", "-m", "alone.safetensors", "-p", "hello")


def test_inspect_reports_a_split_file(bitnet, tmp_path):
    import gguf
    for part, names in enumerate((["token_embd.weight"], ["output_norm.weight"])):
        writer = gguf.GGUFWriter(tmp_path / f"m-{part + 1:05}-of-00002.gguf", "llama")
        if part == 0:
            for add, value in ((writer.add_context_length, 8), (writer.add_embedding_length, 32), (writer.add_feed_forward_length, 64),
                               (writer.add_block_count, 1), (writer.add_head_count, 2), (writer.add_layer_norm_rms_eps, 1e-5)):
                add(value)
        writer.add_uint16("split.no", part)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", 11)
        shapes = {"token_embd": (8, 32), "output_norm": (32,), "attn_norm": (32,), "ffn_norm": (32,), "attn_q": (32, 32), "attn_k": (32, 32),
                  "attn_v": (32, 32), "attn_output": (32, 32), "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64)}
        for i, (name, shape) in enumerate(shapes.items()):
            if i % 2 == part:
                writer.add_tensor(("" if name in ("token_embd", "output_norm") else "blk.0.") + name + ".weight", np.ones(shape, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    report = json.loads(bitnet.text("inspect", "m-00001-of-00002.gguf", "--json"))
    assert len(report["tensors"]) == 11 and {t["file"] for t in report["tensors"]} == {0, 1}
    assert [name.rpartition("/")[2] for name in report["file"]["files"]] == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    assert "2 files" in bitnet.text("inspect", "m-00001-of-00002.gguf")
    assert "give the first of the 2 parts, m-00001-of-00002.gguf" in bitnet.refusal(4, "inspect", "m-00002-of-00002.gguf")
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    assert "m-00002-of-00002.gguf is missing" in bitnet.refusal(4, "inspect", "m-00001-of-00002.gguf")


def test_what_is_wrong_is_said_at_once(bitnet, copy, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", 2) + b" {")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "ggufs").mkdir()
    (tmp_path / "ggufs" / "model.gguf").write_bytes(b"GGUF")
    cases = {"x.safetensors": "must begin with '{'", "nothing": "has no config.json", "ggufs": "give the GGUF file in it: model.gguf"}
    for path, words in cases.items():
        start = time.monotonic()
        assert words in bitnet.refusal(4, "inspect", path)
        assert time.monotonic() - start < 2
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "pickles are not read" in bitnet.refusal(4, "run", "-m", copy, "-p", "x")
    assert "cannot open" in bitnet.refusal(3, "run", "-m", copy / "model.safetensors", "-p", "x")
    (copy / "tokenizer.json").unlink()
    assert "neither tokenizer.json nor tokenizer.model" in bitnet.refusal(4, "tokenize", "-m", copy, "x")
