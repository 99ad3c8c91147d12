"""Does a hub that lies, stalls or leads astray end in one clear line, in bounded time, and never in a wrong file?"""
import json
import socket
import time

import pytest
from fake_hub import COMMIT, TOKEN, FakeHub
from hub_fixtures import REPOSITORY, hub, noise, user  # noqa: F401

QUICK = ["--retries", "1", "--timeout", "1"]
SIZE = 200_000


@pytest.fixture
def content(hub):
    return hub.add(REPOSITORY, "a.gguf", noise(SIZE))


def facts(content, **changes):
    """The headers of a HEAD answer, with changes; None leaves one out."""
    headers = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{content.etag}"', "X-Linked-Size": str(len(content.data))}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


def refuse(user, *arguments, code=1, seconds=10, env=None):
    start = time.monotonic()
    line = user.refusal(code, "pull", REPOSITORY, *QUICK, *arguments, env=env)
    assert time.monotonic() - start < seconds
    assert [name for name in user.blobs() if not name.endswith(".incomplete")] == []
    assert not (user.folder() / "refs/main").exists()
    assert len(line) < 600 and line.isprintable() is False and line[:-1].isprintable()
    return line


def on(method, part, answer):
    """An override for requests whose path holds `part`."""

    def override(handler):
        if handler.command != method or part not in handler.path:
            return False
        answer(handler)
        handler.close_connection = True
        return True

    return override


def raw(handler, text, *pieces, pause=0.0):
    handler.wfile.write(text.encode() if isinstance(text, str) else text)
    try:
        for piece in pieces:
            handler.wfile.write(piece)
            time.sleep(pause)
    except OSError:
        pass


def partial(user, content, size):
    folder = user.folder() / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (content.sha256 + ".incomplete")).write_bytes(content.data[:size])


# ---- what HEAD says


@pytest.mark.parametrize(
    "changes, fact",
    [
        ({"X_Repo_Commit": None}, "names no commit"),
        ({"X_Repo_Commit": "../../../../tmp/evil"}, "names no commit"),
        ({"X_Linked_Etag": '"../../../evil"'}, "which is no file name"),
        ({"X_Linked_Etag": '"a/b"'}, "which is no file name"),
        ({"X_Linked_Etag": '".hidden"'}, "which is no file name"),
        ({"X_Linked_Etag": '""'}, "which is no file name"),
        ({"X_Linked_Etag": "x" * 200}, "which is no file name"),
        ({"X_Linked_Etag": '"\x1b[2J"'}, "which is no file name"),
        ({"X_Linked_Size": None}, "does not say how long it is"),
        ({"X_Linked_Size": "-1"}, "does not say how long it is"),
        ({"X_Linked_Size": "1e9"}, "does not say how long it is"),
        ({"X_Linked_Size": "99999999999999999999999"}, "does not say how long it is"),
    ],
)
def test_facts_that_make_no_sense(user, hub, content, changes, fact):
    def answer(handler):
        headers = facts(content, **changes)
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    hub.override = on("HEAD", "/resolve/", answer)
    assert fact in refuse(user)


def test_a_size_beyond_all_bounds(user, hub, content):
    hub.override = on("HEAD", "/resolve/", lambda h: h.answer(200, facts(content, X_Linked_Size=str(1 << 62))))
    assert "at most 1099511627776 are fetched" in refuse(user, code=5)


def test_another_commit_than_the_list_named(user, hub, content):
    hub.override = on("HEAD", "/resolve/", lambda h: h.answer(200, facts(content, X_Repo_Commit="a" * 40)))
    assert "answers for commit" in refuse(user)


def test_huge_and_endless_headers(user, hub, content):
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    hub.override = on("HEAD", "/resolve/", lambda h: raw(h, "HTTP/1.1 200 OK\r\n", *[line] * 5000))
    assert "more than 65536 bytes of headers" in refuse(user)
    hub.override = on("HEAD", "/resolve/", lambda h: raw(h, "HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 60, pause=0.1))
    assert "127.0.0.1" in refuse(user)


def test_no_http_at_all(user, hub, content):
    for junk in (b"", b"\0" * 1000, b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n"):
        hub.override = on("GET", "/api/", lambda h: raw(h, junk))
        refuse(user, "--retries", "0")


# ---- the list of files


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"siblings": 1}', b'{"siblings": []}', b"[" * 1000000, b'{"siblings": ' + b'{"a":' * 1000, b'{"sha": "x", "siblings": []}', b"\xff\xfe",
                                  b'{"sha": "' + COMMIT.encode() + b'", "siblings": [{"rfilename": ["a.gguf"]}, 5, null]}'])
def test_a_list_that_is_no_list(user, hub, content, body):
    hub.override = on("GET", "/api/", lambda h: h.answer(200, {}, body))
    code = 3 if b"rfilename" in body else 1
    assert "acme/tiny-gguf: " in refuse(user, code=code)


def test_an_endless_list(user, hub, content):
    def answer(handler):
        piece = b'{"rfilename": "a"},' * 4096
        raw(handler, "HTTP/1.1 200 OK\r\n\r\n", *[piece] * 400)

    hub.override = on("GET", "/api/", answer)
    assert "more than 1048576 bytes" in refuse(user)


@pytest.mark.parametrize("name", ["../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "a//evil.gguf", "./evil.gguf", "evil\u0000.gguf", "a\\..\\evil.gguf",
                                  "evil\n.gguf", "\x1b[2Jevil.gguf", "x" * 300 + ".gguf", "a/" * 600 + "evil.gguf"])
def test_names_that_lead_astray_are_not_taken(user, hub, tmp_path, name):
    hub.add(REPOSITORY, name, noise(100))
    before = sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(user.cache))
    assert "neither a GGUF file nor a model folder" in refuse(user, code=3)
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(user.cache)) == before


def test_a_file_in_the_place_of_a_folder(user, hub):
    hub.add(REPOSITORY, "x-00001-of-00002.gguf", noise(100))
    body = {"sha": COMMIT, "siblings": [{"rfilename": "x"}, {"rfilename": "x/y-i2_s.gguf"}]}
    hub.add(REPOSITORY, "x", noise(100))
    hub.add(REPOSITORY, "x/y-i2_s.gguf", noise(100))
    hub.override = on("GET", "/api/", lambda h: h.answer(200, {}, json.dumps(body).encode()))
    user.pull(REPOSITORY + ":x")
    assert "is no folder, or a symbolic link" in user.refusal(1, "pull", REPOSITORY)


@pytest.mark.parametrize("below", ["", "blobs", "snapshots", f"snapshots/{COMMIT}"])
def test_a_link_in_the_cache_is_not_written_through(user, hub, content, tmp_path, below):
    outside = tmp_path / "outside"
    outside.mkdir()
    place = user.folder() / below
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(outside)
    assert "symbolic link" in user.refusal(1, "pull", REPOSITORY)
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_the_part_is_not_written_through(user, hub, content, tmp_path):
    (user.folder() / "blobs").mkdir(parents=True)
    (tmp_path / "victim").write_text("precious")
    (user.folder() / "blobs" / (content.sha256 + ".incomplete")).symlink_to(tmp_path / "victim")
    assert "cannot create" in refuse(user)
    assert (tmp_path / "victim").read_text() == "precious"


# ---- the body


def test_a_200_for_a_range_starts_anew(user, hub, content):
    partial(user, content, 50_000)
    hub.override = on("GET", "/resolve/", lambda h: h.answer(200, {}, content.data))
    user.pull(REPOSITORY)
    assert user.has_only_right_files()


@pytest.mark.parametrize("text", ["bytes 0-{last}/{size}", "bytes 49999-{last}/{size}", "bytes 50000-{last}/999", "bytes 50000-60000/{size}", "items 1", "", None])
def test_a_wrong_range(user, hub, content, text):
    partial(user, content, 50_000)
    headers = {} if text is None else {"Content-Range": text.format(last=SIZE - 1, size=SIZE)}
    hub.override = on("GET", "/resolve/", lambda h: h.answer(206, headers, content.data[50_000:]))
    assert "answers the range 'bytes 50000-199999/200000' with" in refuse(user)


def test_a_part_longer_than_the_file_is_cut(user, hub, content):
    partial(user, content, SIZE)
    with open(user.folder() / "blobs" / (content.sha256 + ".incomplete"), "ab") as part:
        part.write(b"more")
    user.pull(REPOSITORY)
    assert user.has_only_right_files() and hub.body_bytes == 0


def test_a_body_without_end(user, hub, content):
    hub.override = on("GET", "/resolve/", lambda h: raw(h, "HTTP/1.1 200 OK\r\n\r\n", *[content.data] * 50))
    assert f"sends more than the {SIZE} bytes it promised" in refuse(user)


def test_another_length_than_promised(user, hub, content):
    hub.override = on("GET", "/resolve/", lambda h: h.answer(200, {}, content.data + b"more"))
    assert f"promised {SIZE} bytes and now sends {SIZE + 4}" in refuse(user)


def test_a_body_that_ends_early(user, hub, content):
    hub.override = on("GET", "/resolve/", lambda h: raw(h, f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n", content.data[:1000]))
    refuse(user)
    hub.override = on("GET", "/resolve/", lambda h: raw(h, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", content.data[:1000]))
    assert f"ends after 1000 of {SIZE} bytes" in refuse(user)
    hub.override = None
    user.pull(REPOSITORY)
    assert user.has_only_right_files()


def test_a_wrong_digest_is_thrown_away(user, hub, content):
    hub.override = on("GET", "/resolve/", lambda h: h.answer(200, {}, bytes(SIZE)))
    assert f"expected {content.sha256}; it was thrown away" in refuse(user)
    assert user.blobs() == []


def test_a_compressed_body(user, hub, content):
    hub.override = on("GET", "/resolve/", lambda h: h.answer(200, {"Content-Encoding": "gzip"}, content.data))
    assert "compressed ('gzip')" in refuse(user)


def test_a_stalled_and_a_dripping_body(user, hub, content):
    start = f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"
    hub.override = on("GET", "/resolve/", lambda h: raw(h, start, *[content.data[i:i + 1] for i in range(100)], pause=0.1))
    assert "less than 1024 bytes per second, for 1 s" in refuse(user)
    hub.override = on("GET", "/api/", lambda h: time.sleep(8))
    assert "no answer" in refuse(user)


# ---- statuses and redirects


def test_a_busy_server_is_asked_again(user, hub, content):
    answers = iter([503, 500, 429])

    def override(handler):
        status = next(answers, None)
        if status:
            handler.answer(status, {"Retry-After": "1"} if status == 429 else {})
        return status is not None

    hub.override = override
    start = time.monotonic()
    user.pull(REPOSITORY, "--retries", "3")
    assert time.monotonic() - start >= 0.5 + 1 + 1
    hub.override = lambda h: h.answer(503) or True
    assert "answers with status 503" in user.refusal(1, "pull", REPOSITORY, "--retries", "1")
    hub.override = lambda h: h.answer(429, {"Retry-After": "86400"}) or True
    assert "asks to wait 86400 s" in user.refusal(1, "pull", REPOSITORY)


def test_a_connection_that_breaks_is_resumed(user, hub, content):
    sent = []

    def override(handler):
        if handler.command != "GET" or "/resolve/" not in handler.path or len(sent) >= 2:
            return False
        sent.append(handler.headers.get("Range"))
        start = len(sent) * 50_000 - 50_000
        text = f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{SIZE - 1}/{SIZE}\r\nContent-Length: {SIZE - start}\r\n\r\n"
        raw(handler, text, content.data[start:start + 50_000])
        handler.close_connection = True
        return True

    hub.override = override
    user.pull(REPOSITORY, "--retries", "3")
    assert sent == [None, "bytes=50000-"] and hub.methods("GET", "/resolve/")[-1][2]["Range"] == "bytes=100000-"
    assert user.has_only_right_files()


def test_nobody_there(user):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "127.0.0.1" in refuse(user, env={"HF_ENDPOINT": f"http://127.0.0.1:{port}"})


@pytest.mark.parametrize(
    "target, fact",
    [
        ("file:///etc/passwd", "is no http or https URL"),
        ("ftp://127.0.0.1/x", "is no http or https URL"),
        ("gopher://127.0.0.1:70/x", "is no http or https URL"),
        ("http://example.invalid/x", "which is not encrypted"),
        ("http://169.254.169.254/latest/meta-data", "refused"),
        ("https://169.254.169.254/latest/meta-data", "an address inside this machine or network"),
        ("https://[fe80::1]/x", "an address inside this machine or network"),
        ("https://0.0.0.0/x", "an address inside this machine or network"),
        ("https://user:pw@example.invalid/", "refused"),
        ("http://[::1", "redirect"),
        ("x" * 9000, "no URL"),
    ],
)
def test_redirects_that_are_not_followed(user, hub, content, target, fact):
    hub.override = on("GET", "/resolve/", lambda h: h.answer(302, {"Location": target}))
    assert fact in refuse(user, env={"HF_TOKEN": TOKEN})


def test_redirects_in_a_circle(user, hub, content):
    hub.override = on("GET", "/resolve/", lambda h: h.answer(302, {"Location": h.path}))
    assert "more than 5 redirects" in refuse(user)
    assert len(hub.methods("GET", "/resolve/")) == 6


def test_the_token_does_not_follow_to_another_port(user, hub, content):
    other = FakeHub()
    try:
        for method, part in (("GET", "/api/"), ("HEAD", "/resolve/"), ("GET", "/resolve/")):
            hub.override = on(method, part, lambda h: h.answer(307, {"Location": other.url + h.path}))
            user("pull", REPOSITORY, *QUICK, env={"HF_TOKEN": TOKEN})
        assert len(other.requests) == 3
        assert all("Authorization" not in headers for _, _, headers in other.requests)
        assert all(headers["Authorization"] == "Bearer " + TOKEN for _, _, headers in hub.requests)
    finally:
        other.close()


def test_a_renamed_repository_is_followed(user, hub, content):
    hub.add("acme/new-name", "a.gguf", content.data)
    del hub.repositories[REPOSITORY]
    hub.override = lambda h: REPOSITORY in h.path and (h.answer(307, {"Location": h.path.replace(REPOSITORY, "acme/new-name")}) or True)
    user.pull(REPOSITORY, env={"HF_TOKEN": TOKEN})
    assert user.has_only_right_files()
    assert all(headers["Authorization"] == "Bearer " + TOKEN for _, _, headers in hub.requests)


def test_what_the_hub_says_goes_before_what_the_last_server_says(user, hub, content):
    """Small files are redirected within the hub, and what the redirect says of them may be only half of it."""
    def override(handler):
        if handler.command != "HEAD":
            return False
        if "/resolve-cache/" in handler.path:
            handler.answer(200, {"ETag": '"other"', "Content-Length": str(SIZE)})
        else:
            handler.answer(307, facts(content, X_Linked_Size=None, Location="/api/resolve-cache/x"))
        return True

    hub.override = override
    user.pull(REPOSITORY)
    assert user.blobs() == [content.sha256]
