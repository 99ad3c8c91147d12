"""Do exit codes, help and errors keep what the program promises?"""
import os
import shutil

import pytest
import tiny_model

COMMANDS = ["run", "chat", "serve", "batch", "inspect", "tokenize", "detokenize", "logits", "perplexity", "kld", "eval", "convert", "quantize", "verify", "split", "merge", "embed", "bench", "doctor", "pull", "list", "rm"]


def test_version_is_one_line(bitnet):
    assert bitnet.text("--version").startswith("bitnet 0.")


def test_help_lists_every_command(bitnet):
    lines = bitnet.text("--help").splitlines()
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1:][:len(COMMANDS)]]
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_documents_exit_codes(bitnet, command):
    text = bitnet.text(command, "--help")
    for code in ("0 done", "2 wrong usage", "3 no such model", "4 bad", "5 too big", "7 this CPU", "130 interrupted"):
        assert code in text


def test_help_shows_defaults(bitnet):
    text = bitnet.text("run", "--help")
    for default in ("[0.8]", "[40]", "[0.95]", "[0.05]", "[f16]", "[512]"):
        assert default in text


@pytest.mark.parametrize(
    "arguments, fact",
    [
        ([], "no command given; see `bitnet --help`"),
        (["sing"], "'sing' is no command"),
        (["run", "--sing"], "--sing; see `bitnet run --help`"),
        (["run", "--temp", "warm", "x"], "--temp"),
        (["run", "--temp", "-1", "x"], "temperature"),
        (["run", "--temp", "nan", "x"], "temperature"),
        (["run", "--top-p", "2", "x"], "top_p"),
        (["run", "-n", "-2", "x"], "--max-tokens is -2"),
        (["run", "--stop", "", "x"], "--stop is empty"),
        (["run", "--logit-bias", "7", "x"], "--logit-bias: '7'"),
        (["run", "--kv", "q4", "x"], "--kv"),
        (["run", "--format", "xml", "x"], "--format"),
        (["run", "-p", "a", "b"], "give the prompt once"),
        (["run", "--system", "s", "x"], "--system needs --chat"),
        (["run", "--ids", "1,,2"], "entry 2"),
        (["run", "--ids", "1,x"], "entry 2 is 'x'"),
        (["run", "--ids", "-1"], "entry 1"),
        (["run", "--ids", "99999"], "allowed are 0 to"),
        (["run", "-t", "5000", "x"], "threads is 5000"),
        (["run", "--isa", "mmx", "x"], "'mmx' is no instruction set"),
        (["logits", "--ids", "1"], "--out is required"),
        (["logits", "--out", "x.npy"], "give the tokens once"),
        (["bench", "-p", "9-1"], "-p: '9-1'"),
        (["bench", "-t", "1,"], "-t: ''"),
        (["bench", "--parallel", "0"], "--parallel: allowed are 1 to 256"),
        (["detokenize", "1", "zwei"], "'zwei'"),
        (["detokenize"], "no ids"),
    ],
)
def test_wrong_usage_is_refused(bitnet, model, arguments, fact):
    with_model = arguments[:1] in (["run"], ["logits"], ["bench"], ["detokenize"])
    assert fact in bitnet.refusal(2, *arguments, *(["-m", model] if with_model else []))


@pytest.mark.parametrize("command", [["run", "x"], ["chat"], ["inspect"], ["tokenize", "x"], ["detokenize", "1"], ["logits", "--ids", "1", "--out", "o"], ["bench"]])
def test_a_missing_model_has_its_own_code(bitnet, command):
    assert "absent.gguf" in bitnet.refusal(3, *command, "-m", "absent.gguf")


def test_no_model_at_all_says_where_it_looked(bitnet, tmp_path):
    alone = tmp_path / "a" / "b" / "c" / "bitnet"
    alone.parent.mkdir(parents=True)
    shutil.copy(bitnet.path, alone)
    bitnet.path = str(alone)
    line = bitnet.refusal(3, "inspect")
    assert "BITNET_MODEL" in line and str(tmp_path / "a" / "b" / "share" / "bitnet" / "default.gguf") in line


def test_the_model_may_come_from_the_environment(bitnet, model):
    assert "tiny" in bitnet.text("inspect", env={"BITNET_MODEL": str(model)})
    assert "absent" in bitnet.refusal(3, "inspect", env={"BITNET_MODEL": "absent"})


@pytest.mark.parametrize("command", [["run", "x"], ["chat"], ["inspect"], ["logits", "--ids", "1", "--out", "o"]])
def test_a_broken_model_has_its_own_code(bitnet, model, tmp_path, command):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model.read_bytes()[:-1000])
    assert "broken.gguf" in bitnet.refusal(4, *command, "-m", broken)
    assert not (tmp_path / "o").exists()


def test_a_prompt_beyond_the_context_is_too_big(bitnet, models):
    assert "the context holds 64" in bitnet.refusal(5, "run", "-m", models / "short.gguf", "x" * 500)


def test_a_missing_instruction_set_has_its_own_code(bitnet, model):
    assert "neon" in bitnet.refusal(7, "run", "-m", model, "--isa", "neon", "x")
    assert "BITNET_ISA" in bitnet.refusal(7, "run", "-m", model, "x", env={"BITNET_ISA": "neon"})


def test_threads_come_from_the_environment_and_the_flag_wins(bitnet, model):
    flags = ["-m", model, "--stats", "-n", 1, "x"]
    assert b" 3 threads" in bitnet("run", *flags, env={"BITNET_THREADS": "3"}).stderr
    assert b" 2 threads" in bitnet("run", *flags, "-t", 2, env={"BITNET_THREADS": "3"}).stderr


def test_a_full_disk_is_one_line(bitnet, model):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "wb") as full:
        process = bitnet.start("inspect", model, stdout=full, stderr=-1)
        assert process.communicate(timeout=60)[1].startswith(b"bitnet: standard output: cannot write: ")
    assert process.returncode == 1


def test_escape_sequences_of_a_file_do_not_reach_the_terminal(bitnet, tmp_path):
    path = tiny_model.write(tmp_path / "evil.gguf", name="a\x1b[2Jb\u202ec")
    text = bitnet.text("inspect", path)
    assert "a\\x1b[2Jb" in text and "\x1b" not in text and "\u202e" not in text
    assert "\x1b" not in bitnet.text("inspect", path, "--json")
