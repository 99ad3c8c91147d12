"""Does `bitnet eval` ask and count as lm-evaluation-harness does? Prompts and scores are worked out again here, from `bitnet logits`."""
import json
import math
import re

import numpy as np
import pytest
import tiny_model
from test_perplexity import BOS, log_softmax

ARC = [
    {"id": "1", "question": "Which of these is hot?", "choices": {"text": ["the sun", "ice", "a fox"], "label": ["A", "B", "C"]}, "answerKey": "A"},
    {"id": "2", "question": "hello?", "choices": {"text": ["world", "hello world", "no"], "label": ["1", "2", "3"]}, "answerKey": "2"},
    {"id": "3", "question": {"stem": "What is wet?", "choices": [{"text": "wörld", "label": "A"}, {"text": "water", "label": "B"}]}, "answerKey": "B"},
]
OPENBOOK = [
    {"id": "a", "question_stem": "Stones are ", "choices": {"text": ["hard", "soft as wool"], "label": ["A", "B"]}, "answerKey": " A"},
    {"id": "b", "question": {"stem": "hello", "choices": [{"text": "w", "label": "A"}, {"text": "world", "label": "B"}]}, "answerKey": "B"},
    {"id": "c", "question_stem": "", "choices": {"text": ["up", "down"], "label": ["A", "B"]}, "answerKey": "B"},
]
HELLASWAG = [
    {"activity_label": "Baking", "ctx_a": "A man  stands in a kitchen.", "ctx_b": "the Man", "label": 2,
     "endings": ["sings.", "[substeps] flies  away [a].", "kneads the dough.", "is a [title] oven"]},
    {"activity_label": "How to wave", "ctx_a": "[header] Wave [title] Lift a hand.", "ctx_b": "", "label": "0",
     "endings": [" [step] Move it. ", "Sit [down\nup] still.", "Sleep] on.", "Ëat"]},
    {"activity_label": "Été", "ctx_a": "x", "ctx_b": "écoute LE Ünd", "label": 1, "endings": ["a", "b", "c", "d"]},
]
WINOGRANDE = [
    {"qID": "1", "sentence": "The fox could not pass the gate because _ was too wide.", "option1": "the fox", "option2": "the gate", "answer": "1"},
    {"qID": "2", "sentence": "_  went home.\n", "option1": "Hello", "option2": "World", "answer": "2"},
]
PIQA = [
    {"goal": "open a jar", "sol1": "turn the lid", "sol2": "sing to it for an hour", "label": 0},
    {"goal": "see at night", "sol1": "close both eyes", "sol2": "light a lamp", "label": 1},
]
BOOLQ = [
    {"passage": "Foxes run. Foxes hide.", "question": "do foxes run", "label": 1, "idx": 0},
    {"passage": "Stones lie.", "question": "do stones run", "answer": False, "title": "Stones"},
    {"passage": "Stones lie.", "question": "do stones lie", "label": True},
]
TASKS = {"arc_easy": ARC, "arc_challenge": ARC, "openbookqa": OPENBOOK, "hellaswag": HELLASWAG, "winogrande": WINOGRANDE, "piqa": PIQA, "boolq": BOOLQ}
ONLY_ACC = ("winogrande", "boolq")


def clean(text):
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def lettered(item, stem_field):
    if isinstance(item.get("question"), dict):
        stem, choices = item["question"]["stem"], item["question"]["choices"]
        texts, labels = [c["text"] for c in choices], [c["label"] for c in choices]
    else:
        stem, texts, labels = item[stem_field], item["choices"]["text"], item["choices"]["label"]
    return stem, texts, labels.index(item["answerKey"].lstrip())


def asked(task, item):
    """[(context, answer)] and the right one's place."""
    if task.startswith("arc"):
        stem, texts, gold = lettered(item, "question")
        return [(f"Question: {stem}\nAnswer:", text) for text in texts], gold
    if task == "openbookqa":
        stem, texts, gold = lettered(item, "question_stem")
        return [(stem, text) for text in texts], gold
    if task == "hellaswag":
        context = clean(item["activity_label"] + ": " + item["ctx_a"] + " " + item["ctx_b"].capitalize())
        return [(context, clean(ending)) for ending in item["endings"]], int(item["label"])
    if task == "winogrande":
        gap = item["sentence"].index("_")
        return [(item["sentence"][:gap] + item[option], item["sentence"][gap + 1:].strip()) for option in ("option1", "option2")], int(item["answer"]) - 1
    if task == "piqa":
        return [(f"Question: {item['goal']}\nAnswer:", item[solution]) for solution in ("sol1", "sol2")], item["label"]
    return [(f"{item['passage']}\nQuestion: {item['question']}?\nAnswer:", answer) for answer in ("no", "yes")], int(item.get("answer", item.get("label")))


class Oracle:
    """Log-likelihoods of continuations by the tokenizer and the logits of the program."""

    def __init__(self, bitnet, model):
        self.bitnet, self.model = bitnet, model

    def encode(self, text):
        return json.loads(self.bitnet.text("tokenize", "-m", self.model, "--no-special", "--format", "json", text)) if text else []

    def __call__(self, context, continuation):
        moved = len(context) - len(context.rstrip())
        if moved:
            context, continuation = context[:-moved], context[-moved:] + continuation
        before = [BOS, *self.encode(context)]
        whole = [BOS, *self.encode(context + continuation)]
        ids = before + whole[len(before):]
        self.bitnet.text("logits", "-m", self.model, "--ids", ",".join(map(str, ids)), "--out", "o.npy")
        scores = log_softmax(np.load(self.bitnet.home / "o.npy"))
        return sum(scores[i - 1, ids[i]] for i in range(len(before), len(ids)))


def write(bitnet, items, name="items.jsonl"):
    (bitnet.home / name).write_text("".join(json.dumps(item, ensure_ascii=bool(i % 2)) + "\n" for i, item in enumerate(items)))
    return name


def run(bitnet, model, task, *flags):
    return json.loads(bitnet.text("eval", "-m", model, "--task", task, "-f", "items.jsonl", "--json", *flags))


def stderr(values):
    return pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shots", [0, 2])
def test_it_agrees_with_numpy(bitnet, model, task, shots):
    items, oracle = TASKS[task], Oracle(bitnet, model)
    write(bitnet, items), write(bitnet, items[::-1], "shots.jsonl")
    report = run(bitnet, model, task, *(["--shots", shots, "--shots-file", "shots.jsonl"] if shots else []))
    examples = ""
    for item in items[::-1][:shots]:
        choices, gold = asked(task, item)
        examples += f"{choices[gold][0]} {choices[gold][1]}\n\n"
    counted = {"acc": [], "acc_norm": [], "acc_bytes": []}
    assert [sample["line"] for sample in report["samples"]] == list(range(1, len(items) + 1))
    for item, sample in zip(items, report["samples"]):
        choices, gold = asked(task, item)
        likelihoods = np.array([oracle(examples + context, " " + answer) for context, answer in choices])
        assert sample["log_likelihoods"] == pytest.approx(likelihoods, abs=1e-5) and sample["gold"] == gold
        lengths = {"acc": 1, "acc_norm": np.array([len(answer) for _, answer in choices]),
                   "acc_bytes": np.array([len(answer.encode()) for _, answer in choices])}
        for name, length in lengths.items():
            counted[name].append(float((likelihoods / length).argmax() == gold))
            if name == "acc" or task not in ONLY_ACC:
                assert sample[name] == bool(counted[name][-1])
    assert report["items"] == len(items) and report["shots"] == shots and report["truncated"] == 0
    for name, values in counted.items():
        if name == "acc" or task not in ONLY_ACC:
            assert report[name] == pytest.approx(np.mean(values)) and report[f"{name}_stderr"] == stderr(values)
        else:
            assert name not in report
    assert report["chance"] == pytest.approx(np.mean([1 / len(asked(task, item)[0]) for item in items]))


def test_it_does_not_depend_on_how_it_is_computed(bitnet, model):
    write(bitnet, HELLASWAG)
    expected = run(bitnet, model, "hellaswag")
    for flags in (["--chunk", 1], ["--chunk", 5], ["-t", 1], ["-t", 3], ["--isa", "scalar"]):
        assert run(bitnet, model, "hellaswag", *flags) == expected, flags


def test_the_readable_form_and_the_limit(bitnet, model):
    write(bitnet, ARC)
    report = run(bitnet, model, "arc_easy", "--limit", 2)
    assert report["items"] == 2
    text = bitnet.text("eval", "-m", model, "--task", "arc_easy", "-f", "items.jsonl", "--limit", 2)
    lines = text.splitlines()
    assert lines[0] == "arc_easy: 2 items, 0 shots, chance 0.3333"
    assert lines[1] == f"acc       {report['acc']:.4f} +- {report['acc_stderr']:.4f}" and len(lines) == 4
    piped = bitnet.text("eval", "-m", model, "--task", "arc_easy", "-f", "-", "--limit", 2, stdin=(bitnet.home / "items.jsonl").read_bytes())
    assert piped == text


def test_long_questions_lose_their_start(bitnet, models):
    write(bitnet, [{"goal": "x" * 300, "sol1": "yes it is", "sol2": "no", "label": 0}])
    report = run(bitnet, models / "short.gguf", "piqa")
    assert report["truncated"] == 1 and all(math.isfinite(value) for value in report["samples"][0]["log_likelihoods"])
    result = bitnet("eval", "-m", models / "short.gguf", "--task", "piqa", "-f", "items.jsonl")
    assert result.returncode == 0 and b"1 items did not fit into the context and lost their start" in result.stderr
    write(bitnet, [*PIQA, {"goal": "x", "sol1": "yes", "sol2": "n" * 100, "label": 0}])
    line = bitnet.refusal(5, "eval", "-m", models / "short.gguf", "--task", "piqa", "-f", "items.jsonl")
    assert "items.jsonl: line 3: an answer has 101 tokens, the context holds 64" in line


PIQA_LINE = json.dumps(PIQA[0])


@pytest.mark.parametrize("task, line, fact", [
    ("piqa", "{", "is not JSON: wrong at byte 2"),
    ("piqa", "[1]", "is array, not an object"),
    ("piqa", "\x00", "is not JSON"),
    ("piqa", b'{"goal": "\xff"}', "is not JSON"),
    ("piqa", "[" * 100_000, "is not JSON"),
    ("piqa", '{"goal": "a", "sol1": "b", "label": 0}', "field 'sol2' is missing"),
    ("piqa", '{"goal": 3, "sol1": "b", "sol2": "c", "label": 0}', "field 'goal' is number, not text"),
    ("piqa", '{"goal": "a", "sol1": "", "sol2": "c", "label": 0}', "answer 1 is empty"),
    ("piqa", '{"goal": "a", "sol1": "b", "sol2": "c", "label": -1}', "field 'label' is -1, allowed are 0 to 1"),
    ("piqa", '{"goal": "a", "sol1": "b", "sol2": "c", "label": 18446744073709551615}', "allowed are 0 to 1"),
    ("piqa", '{"goal": "a", "sol1": "b", "sol2": "c", "label": "\\u001b[2J"}', "allowed are 0 to 1"),
    ("boolq", '{"passage": "p", "question": "q"}', "field 'label' is missing"),
    ("winogrande", '{"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"}', "has no gap"),
    ("winogrande", '{"sentence": "ends _ ", "option1": "a", "option2": "b", "answer": "1"}', "ends with its gap"),
    ("winogrande", '{"sentence": "a _ b", "option1": "a", "option2": "b", "answer": ""}', "allowed are 1 to 2"),
    ("arc_easy", '{"question": "q", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"}', "2 texts and 1 labels"),
    ("arc_easy", '{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "E"}', "'E', which is no label"),
    ("arc_easy", '{"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"}', "1 answers, at least 2"),
    ("arc_easy", '{"question": "q", "choices": ["a"], "answerKey": "A"}', "field 'choices' is array, not an object"),
    ("arc_easy", '{"question": {"stem": "q", "choices": [1]}, "answerKey": "A"}', "an entry that is number"),
    ("hellaswag", '{"activity_label": "a", "ctx_a": "b", "ctx_b": "c", "endings": ["a", 7], "label": 0}', "field 'endings[1]' is number"),
])
def test_a_malformed_line_is_named(bitnet, model, task, line, fact):
    good = json.dumps(TASKS[task][0]).encode()
    (bitnet.home / "items.jsonl").write_bytes(good + b"\n\r\n" + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    refused = bitnet.refusal(2, "eval", "-m", model, "--task", task, "-f", "items.jsonl")
    assert "items.jsonl: line 3: " in refused and fact in refused and "\x1b" not in refused


@pytest.mark.parametrize("code, flags, fact", [
    (2, ["--task", "mmlu", "-f", "items.jsonl"], "--task"),
    (2, ["-f", "items.jsonl"], "--task is required"),
    (2, ["--task", "piqa"], "--file is required"),
    (2, ["--task", "piqa", "-f", "empty.jsonl"], "empty.jsonl: has no items"),
    (3, ["--task", "piqa", "-f", "absent.jsonl"], "absent.jsonl: cannot open"),
    (1, ["--task", "piqa", "-f", "."], "Is a directory"),
    (2, ["--task", "piqa", "-f", "items.jsonl", "--shots", 1], "--shots needs --shots-file"),
    (2, ["--task", "piqa", "-f", "items.jsonl", "--shots", 3, "--shots-file", "items.jsonl"], "has 2 items, --shots wants 3"),
    (2, ["--task", "piqa", "-f", "items.jsonl", "--shots", -1], "--shots is -1"),
    (2, ["--task", "piqa", "-f", "items.jsonl", "--limit", 0], "--limit is 0"),
])
def test_wrong_usage_is_refused(bitnet, model, code, flags, fact):
    write(bitnet, PIQA), write(bitnet, [], "empty.jsonl")
    assert fact in bitnet.refusal(code, "eval", "-m", model, *flags)


def test_a_huge_line_is_an_item(bitnet, models):
    write(bitnet, [{"goal": "hello " * 500_000, "sol1": "a", "sol2": "b", "label": 0}])
    assert run(bitnet, models / "short.gguf", "piqa")["truncated"] == 1


def test_progress_counts_items(bitnet, model):
    write(bitnet, BOOLQ)
    result = bitnet("eval", "-m", model, "--task", "boolq", "-f", "items.jsonl", "--progress", "json")
    last = [json.loads(line) for line in result.stderr.splitlines()][-1]
    assert (last["progress"], last["unit"], last["done"], last["total"]) == ("boolq", "items", 3, 3)
