"""Does `bitnet batch` answer every request of a file, once, as `run` would, however often it is cut?"""
import json
import random

import tiny_model


def requests(count, **extra):
    return [{"custom_id": f"r{i}", "method": "POST", "url": "/v1/completions",
             "body": {"prompt": f"text {i}", "max_tokens": 5 + i % 9, "seed": i} | extra} for i in range(count)]


def write(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_are_those_of_run_in_order(bitnet, models, tmp_path):
    entries = requests(9)
    entries.append({"custom_id": "chat", "url": "/v1/chat/completions",
                    "body": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "n": 2, "seed": 1}})
    out = tmp_path / "out.jsonl"
    bitnet.text("batch", write(tmp_path / "in.jsonl", entries), "-o", out, "-m", models / "tiny.gguf", "--parallel", 3)
    answers = read(out)
    assert [a["custom_id"] for a in answers] == [e["custom_id"] for e in entries]
    for entry, answer in list(zip(entries, answers))[:9]:
        assert (answer["error"], answer["response"]["status_code"]) == (None, 200)
        body = entry["body"]
        expected = json.loads(bitnet.text("run", "-m", models / "tiny.gguf", "-p", body["prompt"], "-n", body["max_tokens"],
                                          "--seed", body["seed"], "--format", "json"))
        assert answer["response"]["body"]["choices"][0]["text"] == expected["text"]
    assert len(answers[-1]["response"]["body"]["choices"]) == 2


def test_a_cut_run_goes_on_and_ends_with_the_same_bytes(bitnet, models, tmp_path):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    source = write(tmp_path / "in.jsonl", requests(12))
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    bitnet.text("batch", source, "-o", whole, "-m", models / "tiny.gguf")
    data = whole.read_bytes()
    for place in [0, len(data), *random.Random(seed).sample(range(len(data)), 4)]:
        cut.write_bytes(data[:place])
        bitnet.text("batch", source, "-o", cut, "-m", models / "tiny.gguf", "--parallel", 2)
        assert cut.read_bytes() == data, place


def test_what_is_wrong_in_one_request_is_said_in_its_answer(bitnet, models, tmp_path):
    entries = requests(3)
    entries[1]["body"]["temperature"] = -1
    out = tmp_path / "out.jsonl"
    result = bitnet("batch", write(tmp_path / "in.jsonl", entries), "-o", out, "-m", models / "tiny.gguf")
    assert result.returncode == 1 and b"1 of 3 requests" in result.stderr
    statuses = [a["response"]["status_code"] for a in read(out)]
    assert statuses == [200, 400, 200]
    assert read(out)[1]["response"]["body"]["error"]["param"] == "temperature"


def test_a_broken_file_costs_nothing(bitnet, models, tmp_path):
    good = json.dumps(requests(1)[0])
    out = tmp_path / "out.jsonl"
    for text, fact in [("", "holds no requests"), ("{", "line 1: the body is not JSON"), (good + "\n[]", "line 2: the body is not a JSON object"),
                       (good + "\n" + good, "line 2: custom_id 'r0' stands there before"), ('{"url": "/v1/completions"}', "line 1: custom_id is missing"),
                       ('{"custom_id": "a", "url": "/v1/images", "body": {}}', "line 1: url is '/v1/images'"),
                       ('{"custom_id": "a", "url": "/v1/completions"}', "line 1: body is missing")]:
        (tmp_path / "in.jsonl").write_text(text)
        assert fact in bitnet.refusal(2, "batch", tmp_path / "in.jsonl", "-o", out, "-m", models / "tiny.gguf")
        assert not out.exists()
    assert "cannot open" in bitnet.refusal(3, "batch", tmp_path / "none.jsonl", "-o", out, "-m", models / "tiny.gguf")
    other = tmp_path / "notes.txt"
    other.write_text("mine\n")
    source = write(tmp_path / "in.jsonl", requests(1))
    assert "line 1 is no answer of a batch" in bitnet.refusal(2, "batch", source, "-o", other, "-m", models / "tiny.gguf")
    assert other.read_text() == "mine\n"


def test_lines_choose_among_several_models(bitnet, models, tmp_path):
    other = tmp_path / "other.gguf"
    tiny_model.write(other, seed=3)
    entries = [entry for name in (None, "tiny", "b", "nobody", "b") for entry in requests(1, **({"model": name} if name else {}))]
    for i, entry in enumerate(entries):
        entry["custom_id"] = f"r{i}"
    out = tmp_path / "out.jsonl"
    flags = ["-m", models / "tiny.gguf", "-m", f"b={other}"]
    assert bitnet("batch", write(tmp_path / "in.jsonl", entries), "-o", out, *flags).returncode == 1
    answers = [a["response"] for a in read(out)]
    assert [a["status_code"] for a in answers] == [200, 200, 200, 404, 200]
    assert answers[3]["body"]["error"]["code"] == "model_not_found"
    assert [a["body"]["model"] for a in answers if a["status_code"] == 200] == ["tiny", "tiny", "b", "b"]
    texts = [a["body"]["choices"][0]["text"] for a in answers if a["status_code"] == 200]
    assert texts[0] == texts[1] and texts[2] == texts[3]
    for text, model in ((texts[0], models / "tiny.gguf"), (texts[2], other)):
        expected = json.loads(bitnet.text("run", "-m", model, "-p", "text 0", "-n", 5, "--seed", 0, "--format", "json"))
        assert text == expected["text"]
