"""Do list, rm and -m agree about what is in the cache, and with the huggingface_hub library?"""
import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest
from fake_hub import COMMIT
from hub_fixtures import REPOSITORY, hub, noise, user  # noqa: F401
from terminal import Terminal

OTHER_COMMIT = "f" * 40


def listed(user):
    return json.loads(user("list", "--json").stdout)


def test_an_empty_cache_is_no_error(user):
    result = user("list")
    assert (result.returncode, result.stdout) == (0, b"") and b"no models in" in result.stderr
    assert listed(user) == {"cache": str(user.cache), "models": [], "incomplete": []}


def test_list_says_what_is_there(user, hub):
    hub.add(REPOSITORY, "sub/a-i2_s.gguf", noise(3000))
    user.pull(REPOSITORY)
    assert listed(user)["models"] == [{"name": REPOSITORY, "revision": COMMIT, "refs": ["main"], "path": str(user.snapshot()), "bytes": 3000,
                                       "complete": True, "files": [{"name": "sub/a-i2_s.gguf", "bytes": 3000, "complete": True}]}]
    text = user("list").stdout.decode()
    assert text == f"{REPOSITORY}  main (0123456789ab)  2.93 KiB\n      2.93 KiB  sub/a-i2_s.gguf\n"


def test_list_says_what_is_missing(user, hub):
    for i in (1, 2):
        hub.add(REPOSITORY, f"a-0000{i}-of-00002.gguf", noise(3000, seed=i))
    user.pull(REPOSITORY)
    assert listed(user)["models"][0]["complete"] is True
    (user.snapshot() / "a-00002-of-00002.gguf").unlink()
    assert listed(user)["models"][0]["complete"] is False and "incomplete" in user("list").stdout.decode()
    user.pull(REPOSITORY)
    os.unlink((user.snapshot() / "a-00001-of-00002.gguf").resolve())
    assert [file["complete"] for file in listed(user)["models"][0]["files"]] == [False, True]
    (user.folder() / "blobs/abc.incomplete").write_bytes(bytes(1000))
    assert listed(user)["incomplete"] == [{"name": REPOSITORY, "path": str(user.folder() / "blobs/abc.incomplete"), "bytes": 1000}]
    assert "of unfinished downloads: pull again to go on" in user("list").stdout.decode()


def test_list_is_not_led_astray(user, hub, tmp_path):
    hub.add(REPOSITORY, "a.gguf", noise(100))
    user.pull(REPOSITORY)
    (user.snapshot() / "e\x1b[2Jvil").write_text("x")
    (user.snapshot() / "loop").symlink_to(user.cache)
    (user.cache / "datasets--a--b").mkdir()
    (user.cache / "models--x").mkdir()
    (user.cache / "models--a--..").mkdir()
    text = user("list").stdout.decode()
    assert "\x1b" not in text and "e\\x1b[2Jvil" in text and [model["name"] for model in listed(user)["models"]] == [REPOSITORY]


# ---- -m


@pytest.mark.parametrize("command", [["run", "-n", 1, "x"], ["inspect"], ["tokenize", "x"], ["logits", "--ids", "1", "--out", "o.npy"], ["bench", "-p", "1", "-n", "1", "-r", "1"]])
def test_a_pulled_model_is_found_by_name(user, hub, model, command):
    hub.add(REPOSITORY, "tiny-i2_s.gguf", model.read_bytes())
    line = user.refusal(3, command[0], "-m", REPOSITORY, *command[1:])
    assert f"no such file, and no such model in {user.cache}; `bitnet pull {REPOSITORY}` gets it" in line
    user.pull(REPOSITORY)
    hub.requests.clear()
    for name in (REPOSITORY, REPOSITORY + ":tiny-i2_s.gguf", REPOSITORY + ":I2_S", REPOSITORY + "@main", REPOSITORY + "@" + COMMIT):
        assert user(command[0], "-m", name, *command[1:]).returncode == 0, name
    assert hub.requests == []


def test_a_file_goes_before_a_model(user, hub, model, tmp_path):
    (tmp_path / "acme").mkdir()
    shutil.copy(model, tmp_path / REPOSITORY)
    assert user("inspect", REPOSITORY).returncode == 0


def test_an_unfinished_model_is_not_taken(user, hub):
    for i in (1, 2):
        hub.add(REPOSITORY, f"a-0000{i}-of-00002.gguf", noise(3000, seed=i))
    user.pull(REPOSITORY)
    (user.snapshot() / "a-00002-of-00002.gguf").unlink()
    assert "`bitnet pull acme/tiny-gguf` gets it" in user.refusal(3, "inspect", "-m", REPOSITORY)


def test_a_short_name_says_how_to_get_it(user):
    assert "`bitnet pull 2b-4t` gets it" in user.refusal(3, "inspect", "-m", "2b-4t")


# ---- rm


def test_rm_asks_unless_told_not_to(user, hub):
    hub.add(REPOSITORY, "a.gguf", noise(3000))
    user.pull(REPOSITORY)
    assert "--yes does it without" in user.refusal(2, "rm", REPOSITORY)
    for answer, left in (("n\n", True), ("\n", True), ("yes\n", False)):
        terminal = Terminal([user.bitnet.path, "rm", REPOSITORY], user.bitnet.environment(**user.env), user.bitnet.home)
        terminal.wait_for("? [y/N] ")
        terminal.type(answer)
        assert terminal.exit_code() == 0
        terminal.close()
        assert user.folder().exists() is left
    assert "is not in the cache" in user.refusal(3, "rm", REPOSITORY, "--yes")


def test_rm_leaves_what_another_revision_uses(user, hub):
    shared, old = hub.add(REPOSITORY, "shared.gguf", noise(3000, 1)), hub.add(REPOSITORY, "a.gguf", noise(3000, 2))
    user.pull(REPOSITORY + ":shared.gguf"), user.pull(REPOSITORY + ":a.gguf")
    hub.commits[REPOSITORY, "v2"] = OTHER_COMMIT
    new = hub.add(REPOSITORY, "a.gguf", noise(3000, 3))
    user.pull(REPOSITORY + ":shared.gguf@v2"), user.pull(REPOSITORY + ":a.gguf@v2")
    assert set(user.blobs()) == {shared.sha256, old.sha256, new.sha256}
    assert user("rm", "-y", REPOSITORY + "@main").stdout == f"removed {REPOSITORY}@main: 2 files, 2.93 KiB\n".encode()
    assert set(user.blobs()) == {shared.sha256, new.sha256} and not user.snapshot().exists()
    assert not (user.folder() / "refs/main").exists() and (user.folder() / "refs/v2").exists()
    user("rm", "-y", REPOSITORY + ":a.gguf@v2")
    assert user.blobs() == [shared.sha256] and user.has_only_right_files()
    user("rm", "-y", REPOSITORY)
    assert not user.folder().exists() and not list((user.cache / ".locks").iterdir())


def test_rm_touches_nothing_outside(user, hub, tmp_path):
    hub.add(REPOSITORY, "a.gguf", noise(3000))
    user.pull(REPOSITORY)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (user.snapshot() / "link").symlink_to(precious / "file")
    (user.snapshot() / "folder").symlink_to(precious)
    user("rm", "-y", REPOSITORY)
    assert not user.folder().exists() and (precious / "file").exists()
    user.folder().symlink_to(precious)
    assert "symbolic link" in user.refusal(1, "rm", "-y", REPOSITORY)
    for name in ("../precious", "..", "a/../../precious", str(precious)):
        user.refusal(2, "rm", "-y", name)
    assert (precious / "file").exists()


def test_prune_removes_what_is_unfinished_and_idle(user, hub):
    import fcntl

    hub.add(REPOSITORY, "a.gguf", noise(3000))
    path = user.pull(REPOSITORY)
    blobs, locks = user.folder() / "blobs", user.cache / ".locks" / user.folder().name
    for name in ("idle", "busy", "busy2.1a2b3c4d"):
        (blobs / (name + ".incomplete")).write_bytes(bytes(1024))
    with open(locks / "busy.lock", "w") as one, open(locks / "busy2.lock", "w") as two:
        fcntl.flock(one, fcntl.LOCK_EX), fcntl.flock(two, fcntl.LOCK_EX)
        assert "is being pulled right now" in user.refusal(1, "rm", "-y", REPOSITORY)
        result = user("rm", "--prune", "-y")
    assert result.stdout == b"removed downloads that were not finished: 1 file, 1.00 KiB\n"
    assert sorted(path.name for path in blobs.glob("*.incomplete")) == ["busy.incomplete", "busy2.1a2b3c4d.incomplete"]
    assert os.path.exists(path)
    user("rm", "--prune", "-y", REPOSITORY)
    assert not list(blobs.glob("*.incomplete"))
    assert user("rm", "--prune", "-y").stderr == b"bitnet: nothing to remove\n"


# ---- with the library itself


@pytest.fixture
def library():
    """Runs Python with the huggingface_hub library: of this environment, or of the one that HUGGINGFACE_HUB_PYTHON names."""
    python = os.environ.get("HUGGINGFACE_HUB_PYTHON", sys.executable)
    if "HUGGINGFACE_HUB_PYTHON" not in os.environ and importlib.util.find_spec("huggingface_hub") is None:
        pytest.skip("huggingface_hub is not installed here; HUGGINGFACE_HUB_PYTHON may name a Python that has it")

    def run(user, code):
        environment = user.bitnet.environment(**user.env) | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        result = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


def test_the_library_finds_what_was_pulled(user, hub, library):
    hub.add(REPOSITORY, "sub/a-i2_s.gguf", noise(3000))
    path = user.pull(REPOSITORY)
    hub.requests.clear()
    code = f"import huggingface_hub as h; print(h.hf_hub_download('{REPOSITORY}', 'sub/a-i2_s.gguf', local_files_only=True))"
    assert library(user, code) == path
    assert hub.requests == []
    code = "import huggingface_hub as h; c = h.scan_cache_dir(); r, = c.repos; print(r.repo_id, r.size_on_disk, len(c.warnings), *r.refs)"
    assert library(user, code) == f"{REPOSITORY} 3000 0 main"
    assert library(user, f"import huggingface_hub as h; print(h.hf_hub_download('{REPOSITORY}', 'sub/a-i2_s.gguf'))") == path
    assert not hub.methods("GET", "/resolve/")


def test_what_the_library_downloaded_is_found(user, hub, library, model):
    hub.add(REPOSITORY, "tiny-i2_s.gguf", model.read_bytes())
    path = library(user, f"import huggingface_hub as h; print(h.hf_hub_download('{REPOSITORY}', 'tiny-i2_s.gguf'))")
    sent = hub.body_bytes
    assert user.pull(REPOSITORY) == path and hub.body_bytes == sent
    assert user("inspect", "-m", REPOSITORY).returncode == 0
    assert listed(user)["models"][0]["complete"] is True
    assert user("rm", "-y", REPOSITORY).returncode == 0 and not user.folder().exists()
