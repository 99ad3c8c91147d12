"""lm-eval's local-completions: its log-likelihoods are those of `bitnet eval`."""
import json

from conftest import KEY, MODEL, NAME
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

ITEMS = [{"goal": "open a jar", "sol1": "turn the lid", "sol2": "sing to it for an hour", "label": 0},
         {"goal": "see at night", "sol1": "close both eyes", "sol2": "light a lamp", "label": 1},
         {"goal": "cross the river", "sol1": "take the boat that lies there", "sol2": "ask the wolf to carry you", "label": 0}]


def test_its_loglikelihoods_are_the_engines(served, program, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = LocalCompletionsAPI(base_url=served.v1 + "/completions", model=NAME, tokenizer_backend="remote", auth_token=KEY, num_concurrent=1, max_length=512, batch_size=1)
    path = tmp_path / "piqa.jsonl"
    path.write_text("\n".join(map(json.dumps, ITEMS)))
    report = json.loads(program("eval", "--task", "piqa", "-f", path, "-m", MODEL, "--kv", "f16", "--json"))
    answers = [score for sample in report["samples"] for score in sample["log_likelihoods"]]
    # Through a remote tokenizer the harness puts no token in front that begins a text; `bitnet eval` does.
    begin = model.tokenizer.bos_token
    pairs = [(f"{begin}Question: {item['goal']}\nAnswer:", " " + item[sol]) for item in ITEMS for sol in ("sol1", "sol2")]
    found = model.loglikelihood([Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)])
    assert [greedy for _, greedy in found] == [greedy for sample in report["samples"] for greedy in sample["is_greedy"]]
    found = [score for score, _ in found]
    assert found == answers
