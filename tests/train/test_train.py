"""Does the training recipe learn, go on where it was cut, and write what the program then computes alike?"""
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "tools" / "train"
sys.path.insert(0, str(TRAIN))
import corpus  # noqa: E402
import evaluate  # noqa: E402
import export  # noqa: E402
import train  # noqa: E402
from model import LanguageModel, Shape  # noqa: E402
from optimizer import Muon, orthogonalised  # noqa: E402

BITNET = os.environ.get("BITNET_BIN", str(ROOT / "build" / "release" / "bin" / "bitnet"))
TINY = "--layers 2 --embd 128 --ff 256 --heads 2 --kv-heads 1 --ctx 64 --batch 8 --log-every 30 --heldout-windows 8".split()


def story(rng):
    """Sentences of a small grammar: far from random, so that there is something to learn."""
    hero, place = rng.choice(["the fox", "the king", "a girl", "the old man"]), rng.choice(["forest", "castle", "village"])
    sentences = [f"{hero.capitalize()} went to the {place}.", f"There {hero} saw {rng.choice(['a bird', 'a river', 'some gold'])}.",
                 f"Then {hero} said: \"{rng.choice(['How fine!', 'I must go home.', 'Who is there?'])}\"", f"And {hero} left the {place}."]
    return " ".join(rng.choice(sentences) for _ in range(12))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A prepared corpus of generated stories."""
    folder, rng = tmp_path_factory.mktemp("work"), random.Random(1)
    text = folder / "text"
    text.mkdir()
    for i in range(20):
        chapters = [f"THE STORY NUMBER {'I' * j}\n\n{story(rng)}\n\n{story(rng)}" for j in range(1, 11)]
        (text / f"{i}.txt").write_text("\n\n".join(chapters))
    corpus.main([str(text), "-o", str(folder), "--vocab", "300"])
    return folder


@pytest.fixture(scope="module")
def run(work):
    """A finished training run of 300 steps."""
    folder = work / "run"
    train.main([str(work), str(folder), *TINY, "--tokens", str(300 * 8 * 64)])
    return folder


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_documents_begin_at_titles_and_leave_them_out():
    long = "x" * 500 + "."
    assert list(corpus.documents_of(f"A TITLE\n\n{long}\n\nSome text.\n\nANOTHER ONE\n\nMore text.")) == [f"{long}\n\nSome text.", "More text."]
    assert list(corpus.documents_of("Short.\n\nA TITLE\n\nToo short before to part.")) == ["Short.\n\nToo short before to part."]


def test_the_split_depends_on_each_document_alone():
    documents = [f"document {i}" for i in range(2000)]
    train_part, held_out = corpus.split(documents, 1)
    assert 20 <= len(held_out) <= 60 and sorted(train_part + held_out) == sorted(documents)
    assert set(corpus.split(documents[1000:], 1)[1]) == set(held_out) & set(documents[1000:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 48, 96), (3, 96, 48)])
def test_the_update_has_singular_values_near_one(shape, dtype):
    torch.manual_seed(1)
    update = orthogonalised(torch.randn(shape), dtype)
    values = torch.linalg.svdvals(update)
    assert update.dtype == torch.float32 and 0.6 < values.min() and values.max() < 1.3


def test_matrices_of_one_shape_are_stepped_as_each_alone():
    torch.manual_seed(1)
    start = [torch.randn(8, 16) for _ in range(3)]
    gradients = [torch.randn(8, 16) for _ in range(3)]
    together, alone = ([torch.nn.Parameter(w.clone()) for w in start] for _ in range(2))
    optimizers = [Muon(together, lr=0.1, weight_decay=0.1)] + [Muon([w], lr=0.1, weight_decay=0.1) for w in alone]
    for _ in range(2):
        for weights in (together, alone):
            for weight, gradient in zip(weights, gradients):
                weight.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b, before in zip(together, alone, start):
        assert torch.allclose(a, b, atol=1e-6) and not torch.allclose(a, before, atol=1e-2)


def test_it_learns(run):
    first, last = log_of(run)[0], log_of(run)[-1]
    assert last["step"] == 300
    assert last["heldout"] < 1.6 < first["heldout"] < math.log(300) + 1


def test_it_goes_on_where_it_was_cut(work, tmp_path):
    same = [*TINY, "--tokens", str(300 * 8 * 64), "--dropout", "0.1"]
    for name, stops in {"whole": ["60"], "cut": ["20", "60"]}.items():
        for stop in stops:
            train.main([str(work), str(tmp_path / name), *same, "--stop-at", stop])
    whole, cut = ([(e["step"], e["heldout"]) for e in log_of(tmp_path / name)] for name in ("whole", "cut"))
    assert [step for step, _ in whole] == [30, 60] and cut[1:] == whole


def test_from_its_share_on_the_focus_alone_is_read(work, tmp_path):
    read = []
    for name in ("tokenizer.json", "train.npy", "heldout.npy"):
        (tmp_path / name).write_bytes((work / name).read_bytes())
    (tmp_path / "corpus.json").write_text((work / "corpus.json").read_text())
    for part in ("train", "heldout"):
        np.save(tmp_path / f"focus_{part}.npy", np.full(2000, 7, np.uint16))
    run = train.Run(train.parse([str(tmp_path), str(tmp_path / "run"), *TINY, "--tokens", str(10 * 8 * 64), "--focus-from", "0.6"]))
    for run.step in range(10):
        inputs, targets = run.batch()
        assert inputs.shape == targets.shape == (8, 64) and torch.equal(inputs[:, 1:], targets[:, :-1])
        read.append(bool((inputs == 7).all()))
    assert read == [False] * 6 + [True] * 4 and (run.heldout == 7).all()


def test_a_weight_that_no_gradient_reaches_ends_the_run(work, tmp_path):
    run = train.Run(train.parse([str(work), str(tmp_path), *TINY]))

    def loss_without(inputs, targets):
        """As code would compute it that a compiler made lose one gradient."""
        return run.loss(inputs, targets) + 0 * run.model.layers[1].mlp.down_proj.weight.sum()

    run.model.layers[1].mlp.down_proj.used_weight = lambda: run.model.layers[1].mlp.down_proj.weight.detach()
    with pytest.raises(SystemExit, match=r"no gradient reaches layers\.1\.mlp\.down_proj\.weight"):
        run.train_step(loss_without)
    assert run.step == 0


def test_dropout_changes_training_alone(work):
    torch.manual_seed(1)
    model = LanguageModel(Shape(vocab=64, layers=1, embd=64, ff=128, heads=2, kv_heads=1, ctx=16), dropout=0.5)
    ids = torch.randint(0, 64, (2, 16))
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))
    before = train.heldout_loss(model.train(), np.arange(60), "cpu")
    assert model.training and before == train.heldout_loss(model, np.arange(60), "cpu")


def test_the_focus_is_on_the_files_of_a_list(work, tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_text("# the first ones\n1?.txt # ten of them\n")
    facts = corpus.prepare(work / "text", tmp_path, listing, 300, 1)
    documents, _ = corpus.read_documents(work / "text")
    chosen = [d for i in range(10, 20) for d in documents[f"{i}.txt"]]
    assert facts["focus_train"]["documents"] + facts["focus_heldout"]["documents"] == len(chosen)
    decoded = corpus.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).decode(np.load(tmp_path / "focus_train.npy").tolist())
    assert decoded == "".join(d for d in chosen if d in set(corpus.split(chosen, 1)[0]))
    listing.write_text("absent*\n")
    with pytest.raises(SystemExit, match=r"no file is called absent\*"):
        corpus.prepare(work / "text", tmp_path, listing, 300, 1)


def test_one_command_does_all_of_it(work, tmp_path):
    flags = "--layers 1 --embd 128 --ff 256 --heads 2 --kv-heads 1 --ctx 64 --batch 4 --tokens 2560 --heldout-windows 2".split()
    (tmp_path / "work").mkdir()
    for file in ("tokenizer.json", "train.npy", "heldout.npy"):  # a vocabulary of 4096 needs more text than there is
        (tmp_path / "work" / file).write_bytes((work / file).read_bytes())
    facts = json.loads((work / "corpus.json").read_text())
    for part in ("train", "heldout"):
        (tmp_path / "work" / f"focus_{part}.npy").write_bytes((work / f"{part}.npy").read_bytes())
        facts[f"focus_{part}"] = facts[part]
    (tmp_path / "work" / "corpus.json").write_text(json.dumps(facts))
    environment = os.environ | {"PYTHON": sys.executable, "BITNET_BIN": BITNET}
    command = [TRAIN / "reproduce", work / "text", tmp_path / "work", *flags]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    reports = [json.loads(line) for line in (tmp_path / "work" / "evaluation.jsonl").read_text().splitlines()]
    assert [(r["run"], r["twin"], r["text"]) for r in reports] == [("ternary", False, "heldout"), ("twin", True, "heldout"),
                                                                   ("ternary", False, "focus_heldout"), ("twin", True, "focus_heldout")]
    for report in reports[::2]:
        assert report["engine_perplexity"] == pytest.approx(report["perplexity"], rel=0.005)
    assert all((tmp_path / "work" / name).stat().st_size > 1000 for name in ("default.gguf", "hf/model.safetensors", "loss.png"))
    before = log_of(tmp_path / "work" / "twin")
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    assert log_of(tmp_path / "work" / "twin") == before, "what is done is not done again"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_may_have_factors_of_either_precision(work, tmp_path, precision):
    train.main([str(work), str(tmp_path), *TINY, "--tokens", str(60 * 8 * 64), "--precision", precision])
    first, last = log_of(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["precision"] == precision
    assert last["heldout"] < first["heldout"] - 0.3 and last["heldout"] < 4


def test_another_run_is_not_overwritten(work, run):
    with pytest.raises(SystemExit, match="belongs to another run"):
        train.main([str(work), str(run), *TINY, "--tokens", str(300 * 8 * 64), "--seed", "2"])


@pytest.mark.parametrize("embedding", ["Q8_0", "F16"])
def test_the_program_computes_what_was_trained(work, run, tmp_path, embedding):
    file = tmp_path / "model.gguf"
    export.main([str(work), str(run), "-o", str(file), "--embedding", embedding])
    report = evaluate.evaluate(evaluate.argparse.Namespace(work=work, run=run, focus=False, windows=8, engine=BITNET, model=file))
    assert report["engine_perplexity"] == pytest.approx(report["perplexity"], rel=0.005)
    assert all(0.1 < share < 0.6 for share in report["weight_zeros"]) and all(0.2 < share < 0.9 for share in report["relu2_zeros"])
    text = subprocess.run([BITNET, "run", "-m", file, "-p", "The fox went to", "-n", "12", "--temp", "0"], capture_output=True, text=True,
                          check=True).stdout
    assert text.strip().startswith("the "), text


def test_what_is_written_does_not_depend_on_threads(work, tmp_path):
    shape = "--layers 1 --embd 256 --ff 768 --heads 4 --kv-heads 2 --ctx 64 --batch 4 --tokens 256 --heldout-windows 2".split()
    train.main([str(work), str(tmp_path / "run"), *shape])
    files = [tmp_path / f"{threads}.gguf" for threads in (1, 2)]
    before = torch.get_num_threads()
    for threads, file in enumerate(files, 1):
        torch.set_num_threads(threads)
        export.main([str(work), str(tmp_path / "run"), "-o", str(file)])
    torch.set_num_threads(before)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_program_reads_the_tokenizer_alike(work, run, tmp_path):
    file = tmp_path / "model.gguf"
    export.main([str(work), str(run), "-o", str(file)])
    texts = ["The fox went to the castle.", "  \n\nWho's there?\t12345", "\u00e9\U0001f600 x", ""]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts))
    subprocess.run([BITNET, "tokenize", "-m", file, "--in", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--no-special"], check=True)
    tokenizer = corpus.Tokenizer.from_file(str(work / "tokenizer.json"))
    wanted = [tokenizer.encode(t).ids for t in texts]
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == wanted


def test_what_is_said_in_turns_is_one_text(work, run, tmp_path):
    file = tmp_path / "model.gguf"
    export.main([str(work), str(run), "-o", str(file)])
    common = [BITNET, "run", "-m", file, "-n", "8", "--temp", "0"]
    plain, chat = (subprocess.run([*common, *flags, "The fox went to the"], capture_output=True, text=True, check=True).stdout
                   for flags in ([], ["--chat"]))
    assert chat == plain


def test_the_folder_holds_the_same_codes(work, run, tmp_path):
    from safetensors.numpy import load_file
    export.main([str(work), str(run), "-o", str(tmp_path / "model.gguf"), "--hf", str(tmp_path / "hf")])
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    for name, (codes, scale) in export.ternary_matrices(export.load_run(run)[0]).items():
        packed = tensors[f"model.{name}"]
        unpacked = np.concatenate([(packed >> 2 * i & 3).astype(np.int8) - 1 for i in range(4)])
        assert np.array_equal(unpacked, codes) and tensors[f"model.{name}_scale"] == np.float32(scale)


def test_the_program_reads_the_folder_as_the_file(work, run, tmp_path):
    export.main([str(work), str(run), "-o", str(tmp_path / "model.gguf"), "--hf", str(tmp_path / "hf"), "--embedding", "F16"])
    prompt, ids, logits = "The fox went to the", [], []
    for name in ("model.gguf", "hf"):
        subprocess.run([BITNET, "logits", "-m", tmp_path / name, "-p", prompt, "--out", tmp_path / "logits.npy"], check=True)
        logits.append(np.load(tmp_path / "logits.npy"))
        ids.append(subprocess.run([BITNET, "tokenize", "-m", tmp_path / name, prompt], capture_output=True, check=True).stdout)
    assert ids[0] == ids[1] and logits[0].shape == logits[1].shape
    # Embedding and head are float32 in the folder, float16 in the file.
    assert np.abs(logits[0] - logits[1]).mean() <= 0.02 * logits[1].std()


def test_the_twin_differs_in_quantisation_only():
    shape = Shape(vocab=64, layers=1, embd=64, ff=128, heads=2, kv_heads=1, ctx=16)
    torch.manual_seed(1)
    ternary, twin = LanguageModel(shape), LanguageModel(shape, is_ternary=False)
    twin.load_state_dict(ternary.state_dict())
    for name, (codes, scale) in export.ternary_matrices(ternary).items():
        twin.get_parameter(name).data = torch.from_numpy(codes).float() * scale
    ids = torch.randint(0, 64, (2, 16))
    difference = (ternary(ids) - twin(ids)).abs().max()
    assert 0 < difference < 0.1 * twin(ids).std(), "only the activations' rounding is left"
