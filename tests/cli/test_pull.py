"""Does `bitnet pull` bring what was asked for, into the cache that the huggingface_hub library knows?"""
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest
from fake_hub import COMMIT, TOKEN
from hub_fixtures import REPOSITORY, hub, noise, user  # noqa: F401

OTHER_COMMIT = "f" * 40
SHARDS = [f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def add_folder(hub, repository="acme/folder"):
    for i, name in enumerate(SHARDS):
        hub.add(repository, name, noise(50000 + i, seed=i))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json"):
        hub.add(repository, name, b'{"name": "%s"}' % name.encode(), lfs=False)
    hub.add(repository, "README.md", b"# A model\n", lfs=False)
    hub.add(repository, "pytorch_model.bin", noise(1000))
    return repository


# ---- what is chosen


@pytest.mark.parametrize(
    "files, chosen",
    [
        (["a.gguf"], "a.gguf"),
        (["ggml-model-i2_s.gguf", "model-f16.gguf", "README.md"], "ggml-model-i2_s.gguf"),
        (["x-TQ1_0.gguf", "x-TQ2_0.gguf", "x-F16.gguf"], "x-TQ2_0.gguf"),
        (["x-TQ1_0.gguf", "x-I2_S.gguf"], "x-I2_S.gguf"),
        (["x.Q2_0.gguf", "x.F16.gguf", "mmproj-x.Q2_0.gguf"], "x.Q2_0.gguf"),
        (["x-i2_s-00001-of-00002.gguf", "x-i2_s-00002-of-00002.gguf", "x-f16.gguf"], "x-i2_s-00001-of-00002.gguf"),
        (["sub/x-i2_s.gguf", "config.json", "model.safetensors"], "sub/x-i2_s.gguf"),
    ],
)
def test_the_ternary_gguf_is_chosen(user, hub, files, chosen):
    for i, name in enumerate(files):
        hub.add(REPOSITORY, name, noise(1000, seed=i))
    path = user.pull(REPOSITORY)
    assert path == str(user.snapshot() / chosen)
    assert open(path, "rb").read() == hub.repositories[REPOSITORY][chosen].data
    parts = [name for name in files if "-of-" in name] or [chosen]
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(os.path.basename(name) for name in parts)


@pytest.mark.parametrize("files", [["a-i2_s.gguf", "b-i2_s.gguf"], ["a-Q4_K.gguf", "a-F16.gguf"]])
def test_several_that_fit_are_listed(user, hub, files):
    for name in files:
        hub.add(REPOSITORY, name, noise(100))
    line = user.refusal(2, "pull", REPOSITORY)
    assert f"name one with {REPOSITORY}:FILE: {', '.join(sorted(files))}" in line


def test_a_file_may_be_named_in_full_or_by_its_type(user, hub):
    for name in ("a-I2_S.gguf", "a-Q4_K.gguf", "b/a-F16.gguf"):
        hub.add(REPOSITORY, name, noise(1000))
    assert user.pull(f"{REPOSITORY}:b/a-F16.gguf").endswith("/b/a-F16.gguf")
    assert not hub.methods("GET", "/api/")
    assert user.pull(f"{REPOSITORY}:q4_k").endswith("/a-Q4_K.gguf")
    assert "'q5_k'; there are: a-I2_S.gguf" in user.refusal(3, "pull", f"{REPOSITORY}:q5_k")
    assert "no file 'absent.gguf' at revision 'main'" in user.refusal(3, "pull", f"{REPOSITORY}:absent.gguf")


def test_all_parts_of_a_named_part_come(user, hub):
    repository = add_folder(hub)
    assert user.pull(f"{repository}:{SHARDS[1]}").endswith("/" + SHARDS[0])
    assert sorted(path.name for path in user.snapshot(repository).iterdir()) == SHARDS


def test_a_model_folder_comes_without_what_is_no_part_of_it(user, hub):
    repository = add_folder(hub)
    path = user.pull(repository)
    assert path == str(user.snapshot(repository))
    assert set(os.listdir(path)) == set(hub.repositories[repository]) - {"README.md", "pytorch_model.bin"}
    assert user.has_only_right_files()


def test_a_folder_with_a_missing_part_is_refused(user, hub):
    repository = add_folder(hub)
    del hub.repositories[repository][SHARDS[2]]
    assert f"'{SHARDS[2]}' is missing, one of 3 parts" in user.refusal(3, "pull", repository)
    hub.add("acme/nothing", "README.md", b"x", lfs=False)
    assert "neither a GGUF file nor a model folder" in user.refusal(3, "pull", "acme/nothing")


def test_a_short_name_stands_for_a_repository(user, hub):
    hub.add("microsoft/bitnet-b1.58-2B-4T-gguf", "ggml-model-i2_s.gguf", noise(1000))
    assert "models--microsoft--bitnet-b1.58-2B-4T-gguf" in user.pull("2b-4t")
    assert "2b-4t         microsoft/bitnet-b1.58-2B-4T-gguf" in user("pull", "--help").stdout.decode()


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "../b", "a/..", "a/-b", "a/b--c", "a/b:../c", "a/b:/etc/passwd", "a/b@../x", "a/b:", "a b/c",
                                  "a/b:c\x1b[2J", "a/" + "b" * 100, ""])
def test_what_is_no_name_is_refused(user, name):
    assert "is no model: the form is OWNER/NAME[:FILE][@REVISION]" in user.refusal(2, "pull", name)
    assert not user.cache.exists()


# ---- the layout


def test_the_cache_has_the_layout_of_huggingface_hub(user, hub):
    content = hub.add(REPOSITORY, "sub/x-i2_s.gguf", noise(5000))
    hub.commits[REPOSITORY, "refs/pr/1"] = OTHER_COMMIT
    user.pull(REPOSITORY)
    user.pull(f"{REPOSITORY}@refs/pr/1")
    folder = user.folder()
    assert (folder / "blobs" / content.sha256).read_bytes() == content.data
    for commit in (COMMIT, OTHER_COMMIT):
        assert os.readlink(folder / "snapshots" / commit / "sub/x-i2_s.gguf") == f"../../../blobs/{content.sha256}"
    assert (folder / "refs/main").read_text() == COMMIT
    assert (folder / "refs/refs/pr/1").read_text() == OTHER_COMMIT
    assert (user.cache / ".locks" / folder.name / f"{content.sha256}.lock").exists()
    assert (user.cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert len([r for r in hub.methods("GET") if "/resolve/" in r[1]]) == 1, "the second revision holds the same blob"


def test_a_second_pull_fetches_nothing(user, hub):
    content = hub.add(REPOSITORY, "a.gguf", noise(5000))
    assert json.loads(user.pull(REPOSITORY, "--json"))["fetched"] == 5000
    answer = json.loads(user.pull(REPOSITORY, "--json"))
    assert answer == {"name": REPOSITORY, "path": str(user.snapshot() / "a.gguf"), "revision": COMMIT, "licence": "mit",
                      "files": ["a.gguf"], "bytes": 5000, "fetched": 0}
    (user.folder() / "blobs" / content.sha256).write_bytes(b"cut")
    user.pull(REPOSITORY)
    assert user.has_only_right_files()


def test_a_revision_moves_only_when_all_of_it_is_there(user, hub):
    hub.add(REPOSITORY, "a.gguf", noise(5000, seed=1))
    user.pull(REPOSITORY)
    hub.add(REPOSITORY, "a.gguf", noise(5000, seed=2))
    hub.commits[REPOSITORY, "main"] = OTHER_COMMIT
    hub.override = lambda h: h.command == "GET" and "/resolve/" in h.path and (h.answer(404) or True)
    user.refusal(1, "pull", f"{REPOSITORY}")
    assert (user.folder() / "refs/main").read_text() == COMMIT and user.has_only_right_files()


# ---- where it comes from


def test_large_files_come_from_elsewhere_without_the_token(user, hub):
    hub.add(REPOSITORY, "a.gguf", noise(5000))
    hub.cdn = hub.url.replace("127.0.0.1", "localhost")
    user.pull(REPOSITORY, env={"HF_TOKEN": TOKEN})
    sent = {("/cdn/" in path, headers.get("Authorization")) for _, path, headers in hub.requests}
    assert sent == {(False, "Bearer " + TOKEN), (True, None)}


def test_the_token_comes_from_the_variable_then_from_the_file(user, hub, tmp_path):
    hub.add(REPOSITORY, "a.gguf", noise(100))
    hub.gated.add(REPOSITORY)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text(TOKEN + "\n")
    assert "no such" not in user.refusal(1, "pull", REPOSITORY, env={"HF_TOKEN": "hf_other"})
    assert hub.requests[-1][2]["Authorization"] == "Bearer hf_other"
    user.pull(REPOSITORY)
    assert "beyond ASCII" in user.refusal(2, "pull", REPOSITORY, env={"HF_TOKEN": "a\nX-Evil: b"})


def test_refusals_say_what_to_do(user, hub, tmp_path):
    hub.add(REPOSITORY, "a.gguf", noise(100))
    hub.gated.add(REPOSITORY)
    line = user.refusal(1, "pull", REPOSITORY)
    assert f"accept its terms at {hub.url}/{REPOSITORY}, then set HF_TOKEN, or write a token to {tmp_path}/hf/token" in line
    assert "the token in use must be of that account" in user.refusal(1, "pull", REPOSITORY, env={"HF_TOKEN": "hf_other"})
    assert "no such model" in user.refusal(3, "pull", "acme/absent")
    hub.gated.clear()
    assert "has no revision 'v9'" in user.refusal(3, "pull", f"{REPOSITORY}@v9")


def test_offline_gives_what_is_there_and_opens_no_connection(user, hub):
    hub.add(REPOSITORY, "a.gguf", noise(100))
    assert "is not in the cache" in user.refusal(3, "pull", REPOSITORY, "--offline")
    path = user.pull(REPOSITORY)
    hub.requests.clear()
    assert user.pull(REPOSITORY, "--offline") == path
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        assert user.pull(f"{REPOSITORY}:a.gguf", env={variable: "1"}) == path
    assert hub.requests == []


def test_a_proxy_is_used_unless_the_host_is_excepted(user, hub):
    hub.add(REPOSITORY, "a.gguf", noise(100))
    env = {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": hub.url, "NO_PROXY": "", "no_proxy": ""}
    user.pull(REPOSITORY, env=env)
    assert "hub.invalid" in user.refusal(1, "pull", REPOSITORY, "--retries", 0, env=env | {"NO_PROXY": "hub.invalid"})


def test_a_certificate_of_ones_own_is_believed_when_named(user, hub, tmp_path):
    import shutil
    import ssl

    if not shutil.which("openssl"):
        pytest.skip("no openssl program to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    hub.server.socket = context.wrap_socket(hub.server.socket, server_side=True)
    hub.add(REPOSITORY, "a.gguf", noise(100))
    env = {"HF_ENDPOINT": hub.url.replace("http://127.0.0.1", "https://localhost")}
    assert "certificate" in user.refusal(1, "pull", REPOSITORY, env=env)
    user.pull(REPOSITORY, env=env | {"SSL_CERT_FILE": str(certificate)})


# ---- interruptions


def started(user, *arguments):
    process = subprocess.Popen([user.bitnet.path, "pull", *map(str, arguments)], env=user.bitnet.environment(**user.env), cwd=user.bitnet.home,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return process


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_pull_goes_on_where_it_was(user, hub, seed):
    # Large enough that the system's buffers, which hold what was sent and not yet read at a kill, are far below the 5 %.
    content = hub.add(REPOSITORY, "a-i2_s.gguf", noise(24 << 20, seed))
    hub.piece, hub.pause = 1 << 15, 0.001
    generator = random.Random(seed)
    for _ in range(4):
        before, amount = hub.body_bytes, generator.randrange(3 << 19, 9 << 19)
        process = started(user, REPOSITORY)
        wait_until(lambda: hub.body_bytes >= before + amount)
        process.kill()
        process.communicate()
        assert content.sha256 not in user.blobs(), f"seed {seed}"
    hub.pause = 0
    path = user.pull(REPOSITORY)
    assert hashlib.sha256(open(path, "rb").read()).hexdigest() == content.sha256
    assert user.blobs() == [content.sha256], "nothing unfinished is left"
    twice = hub.body_bytes / len(content.data) - 1
    assert twice <= 0.05, f"{twice:.1%} fetched twice, seed {seed}"


def test_ctrl_c_keeps_what_is_there(user, hub):
    content = hub.add(REPOSITORY, "a.gguf", noise(8 << 20))
    hub.piece, hub.pause = 1 << 15, 0.02
    process = started(user, REPOSITORY)
    wait_until(lambda: hub.body_bytes > 1 << 19)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert err == b"bitnet: interrupted; what was fetched is kept, the same command goes on from there\n"
    assert user.blobs() == [content.sha256 + ".incomplete"]
    hub.pause = 0
    user.pull(REPOSITORY)
    assert hub.body_bytes < 1.05 * len(content.data)


def test_two_pulls_share_one_download(user, hub):
    content = hub.add(REPOSITORY, "a.gguf", noise(2 << 20))
    hub.piece, hub.pause = 1 << 15, 0.01
    processes = [started(user, REPOSITORY) for _ in range(3)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert {out for out, _ in results} == {str(user.snapshot() / "a.gguf").encode() + b"\n"}
    assert hub.body_bytes == len(content.data)


def test_a_part_that_went_bad_is_fetched_anew(user, hub):
    content = hub.add(REPOSITORY, "a.gguf", noise(1 << 20))
    blobs = user.folder() / "blobs"
    blobs.mkdir(parents=True)
    (blobs / (content.sha256 + ".incomplete")).write_bytes(bytes(1 << 19))
    user.pull(REPOSITORY)
    assert user.blobs() == [content.sha256] and user.has_only_right_files()


def test_progress_is_reported_as_json(user, hub):
    repository = add_folder(hub)
    result = user("pull", repository, "--progress", "json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    total = sum(len(content.data) for name, content in hub.repositories[repository].items() if name not in ("README.md", "pytorch_model.bin"))
    assert {line["total"] for line in lines} == {total} and lines[-1]["done"] == total
    done = [line["done"] for line in lines]
    assert done == sorted(done)


# ---- a full disk


@pytest.mark.parametrize("limit", [1, 100_000, 999_999])
def test_a_full_disk_is_one_line_and_keeps_the_part(user, hub, limit):
    content = hub.add(REPOSITORY, "a.gguf", noise(1_000_000))
    command = f'ulimit -f {max(limit // 512, 1)}; exec "$0" pull {REPOSITORY}'
    result = subprocess.run(["sh", "-c", command, user.bitnet.path], env=user.bitnet.environment(**user.env), capture_output=True, timeout=60)
    assert result.returncode == 1 and result.stdout == b""
    line = result.stderr.decode()
    assert line.count("\n") == 1 and "make room and pull again" in line and "of 1000000 bytes are there and kept" in line
    kept = (user.folder() / "blobs" / (content.sha256 + ".incomplete")).stat().st_size
    assert f"; {kept} of" in line
    user.pull(REPOSITORY)
    assert user.blobs() == [content.sha256] and hub.methods("GET", "/resolve/")[-1][2]["Range"] == f"bytes={kept}-"


def test_a_disk_that_has_no_room_is_noticed_before(user, hub):
    hub.add(REPOSITORY, "a.gguf", noise(100))
    hub.override = lambda h: h.command == "HEAD" and (h.answer(200, {"X-Repo-Commit": COMMIT, "X-Linked-Etag": '"%s"' % ("a" * 64), "X-Linked-Size": str(1 << 40)}) or True)
    if os.statvfs(user.bitnet.home).f_bavail * os.statvfs(user.bitnet.home).f_frsize > 1 << 40:
        pytest.skip("this disk has more than a TiB free")
    line = user.refusal(1, "pull", REPOSITORY)
    assert re.search(r"\d+ bytes are needed, the disk has \d+ free", line)
    assert not hub.methods("GET", "/resolve/")


# ---- any URL


def test_a_url_goes_to_a_file(user, hub, tmp_path):
    content = hub.add(REPOSITORY, "a.gguf", noise(300_000))
    url = f"{hub.url}/cdn/{content.sha256}"
    assert "needs -o FILE" in user.refusal(2, "pull", url)
    assert user.pull(url, "-o", tmp_path / "f") == str(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == content.data
    assert all("Authorization" not in headers for _, _, headers in hub.requests)
    hub.requests.clear()
    user.pull(url, "-o", tmp_path / "f", "--sha256", content.sha256)
    assert hub.requests == [], "it is there already"
    line = user.refusal(1, "pull", url, "-o", tmp_path / "g", "--sha256", "0" * 64)
    assert f"has sha256 {content.sha256}, expected {'0' * 64}" in line and not list(tmp_path.glob("g*"))
    assert "64 hexadecimal digits" in user.refusal(2, "pull", url, "-o", "x", "--sha256", "xyz")
    assert "is not there (status 404)" in user.refusal(3, "pull", hub.url + "/absent", "-o", "x")


def test_a_url_is_resumed_only_while_it_is_the_same_file(user, hub, tmp_path):
    content = hub.add(REPOSITORY, "a.gguf", noise(8 << 20))
    url = f"{hub.url}/cdn/{content.sha256}"
    hub.piece, hub.pause = 1 << 15, 0.01
    process = started(user, url, "-o", tmp_path / "f")
    wait_until(lambda: hub.body_bytes > 1 << 20)
    process.kill()
    process.communicate()
    assert not (tmp_path / "f").exists()
    hub.pause = 0
    user.pull(url, "-o", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == content.data and hub.body_bytes < 1.05 * len(content.data)
    assert [path.name for path in tmp_path.glob("f*")] == ["f"]
    assert hub.methods("GET")[-1][2]["If-Range"] == '"cdn-%s"' % content.sha256[:8]


@pytest.mark.parametrize("url", ["http://example.invalid/x", "ftp://example.invalid/x", "file:///etc/passwd", "https://user:pw@example.invalid/", "://"])
def test_only_https_urls_are_taken(user, url):
    assert "https" in user.refusal(2, "pull", url, "-o", "x")
