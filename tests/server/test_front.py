"""What stands before the endpoints: TLS, IPv6, inherited sockets, settings, reloading, logs, metrics."""
import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest
from conftest import PROGRAM
from test_life import send, wait_for


def certificate(folder, name):
    """Paths of a certificate for `name` and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program, which makes certificates, is missing")
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1", "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def secure(server, path="/health", trust=None, body=None, **options):
    """Status, text, and the name in the server's certificate."""
    context = ssl.create_default_context(cafile=trust)
    for name, value in options.items():
        setattr(context, name, value)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
    connection.request("POST" if body else "GET", path, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    name = dict(part[0] for part in connection.sock.getpeercert()["subject"])["commonName"] if connection.sock else None
    text = answer.read().decode()
    connection.close()
    return answer.status, text, name


def test_tls(start, tmp_path):
    cert, key = certificate(tmp_path, "first")
    server = start("--tls-cert", cert, "--tls-key", key, "--parallel", 2)
    fields = {"prompt": "abc", "max_tokens": 300, "seed": 3, "ignore_eos": True}
    plain = start().post("/v1/completions", **fields)["choices"][0]["text"]
    assert secure(server, trust=cert)[0] == 200
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        status, text, _ = secure(server, "/v1/completions", cert, fields | {"stream": True}, minimum_version=version, maximum_version=version)
        events = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
        assert status == 200 and events[-1] == "[DONE]"
        assert "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1]) == plain
    assert secure(server, "/v1/completions", cert, fields | {"prompt": "x" * 200000})[0] == 400
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        old.wrap_socket(socket.create_connection(("127.0.0.1", server.port)))
    # What is no TLS gets no answer, and the server goes on.
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not connection.recv(100).startswith(b"HTTP")
    assert secure(server, trust=cert)[0] == 200


def test_a_tls_client_that_leaves_frees_its_place(start, tmp_path):
    cert, key = certificate(tmp_path, "first")
    server = start("--tls-cert", cert, "--tls-key", key, "--parallel", 1, "--no-prefix-cache")
    metric = lambda name: float(re.search(rf"^{name} (.*)$", secure(server, "/metrics", cert)[1], re.MULTILINE)[1])
    body = json.dumps({"prompt": "a", "max_tokens": 2000, "ignore_eos": True, "n": 8}).encode()
    for version, way in ((ssl.TLSVersion.TLSv1_2, "goodbye"), (ssl.TLSVersion.TLSv1_3, "goodbye"), (ssl.TLSVersion.TLSv1_3, "cut")):
        context = ssl.create_default_context(cafile=cert)
        context.minimum_version = context.maximum_version = version
        before = metric("bitnet_cancelled_total")
        connection = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost")
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: metric("bitnet_sequences_running") == 1, "it runs")
        if way == "goodbye":
            connection.setblocking(False)  # so that it does not wait for an answer
            with pytest.raises((ssl.SSLWantReadError, OSError)):
                connection.unwrap()
        else:
            connection.close()
        wait_for(lambda: metric("bitnet_sequences_running") + metric("bitnet_sequences_waiting") == 0, way)
        assert metric("bitnet_cancelled_total") > before, (version, way)


@pytest.mark.parametrize("flags,fact", [(["--tls-cert", "{cert}"], "--tls-key is missing"), (["--tls-cert", "/nowhere", "--tls-key", "{key}"], "/nowhere cannot be read"),
                                        (["--tls-cert", "{key}", "--tls-key", "{key}"], "holds no certificate"), (["--tls-cert", "{cert}", "--tls-key", "{other}"], "fit"),
                                        (["--tls-cert", "{cert}", "--tls-key", "{cert}"], "holds no unlocked private key")])
def test_wrong_tls_files_are_one_line(model, tmp_path, flags, fact):
    cert, key = certificate(tmp_path, "first")
    names = {"cert": cert, "key": key, "other": certificate(tmp_path, "second")[1]}
    done = subprocess.run([PROGRAM, "serve", "-m", model, "--port", "0", *(flag.format(**names) for flag in flags)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and fact in done.stderr, done.stderr


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6(start):
    def ask(server, address, host):
        with socket.create_connection((address, server.port), timeout=20) as connection:
            connection.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return int(connection.recv(1000).split()[1])

    for host in ("::1", "[::1]"):
        server = start("--host", host)
        assert ask(server, "::1", f"[::1]:{server.port}") == 200 and ask(server, "::1", "LOCALHOST") == 200
        assert ask(server, "::1", "evil.example") == 403
    server = start("--host", "::")  # all addresses, of both versions
    assert ask(server, "::1", "evil.example") == 200 and ask(server, "127.0.0.1", "any") == 200


# Puts descriptors to where a service manager puts them, and becomes the program.
GIVE = """import os, sys
descriptors = [int(text) for text in sys.argv[1].split(",")]
for i, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)))
os.execv(sys.argv[2], sys.argv[2:])"""


def activated(model, descriptors, **environment):
    """A server that is given these descriptors as a service manager gives them."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 50) for descriptor in descriptors]
    try:
        return subprocess.Popen([sys.executable, "-c", GIVE, ",".join(map(str, high)), PROGRAM, "serve", "-m", model, "-t", "1"], pass_fds=high,
                                stderr=subprocess.PIPE, env=os.environ | environment)
    finally:
        for descriptor in high:
            os.close(descriptor)


def test_inherited_sockets_and_states(model, tmp_path):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(30)
    tcp = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "b.sock"))
    local.listen()
    process = activated(model, [tcp.fileno(), local.fileno()], NOTIFY_SOCKET=str(tmp_path / "notify"))
    try:
        line = process.stderr.readline().decode()
        assert f"127.0.0.1:{tcp.getsockname()[1]}, unix:{tmp_path / 'b.sock'}" in line
        assert manager.recv(100) == b"READY=1"
        for address, family in ((tcp.getsockname(), socket.AF_INET), (str(tmp_path / "b.sock"), socket.AF_UNIX)):
            with socket.socket(family) as connection:
                connection.connect(address)
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGHUP)
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(100)) and manager.recv(100) == b"READY=1"
        process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
        assert process.wait(20) == 0
        assert (tmp_path / "b.sock").exists()  # it belongs to the manager
    finally:
        process.kill()


def test_an_inherited_descriptor_that_is_no_socket(model):
    process = activated(model, [os.open("/dev/null", os.O_RDONLY)])
    assert process.wait(20) == 2
    assert "descriptor 3 of LISTEN_FDS" in process.stderr.read().decode()


def served(model, home, *flags, **variables):
    """What a server that was started with `flags` says of its queue and who may ask."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BITNET_")} | variables
    process = subprocess.Popen([PROGRAM, "serve", "-m", model, "-t", "1", "--port", "0", *map(str, flags)], stderr=subprocess.PIPE, env=environment, cwd=home)
    try:
        line = process.stderr.readline().decode()
        port = re.search(r" on \S+:(\d+)", line)
        if not port:
            return process.wait(10), line
        def ask(key):
            connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=20)
            connection.request("GET", "/props", headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()).get("total_slots")
        return {key: ask(key) for key in ("a", "b", "c")}
    finally:
        process.kill()
        process.stderr.close()


FILES = {"bitnet.json": '{"parallel": 3, "api-key": ["a", "b"], "no_prefix_cache": true}',
         "bitnet.toml": '# comment\nparallel = 3\napi_key = ["a", "b"]\nno-prefix-cache = true\n',
         "section.toml": '[serve]\nparallel = 3  # three\napi-key = ["a", "b"]\n'}
KEYS = ["a#b", "c = d, \"e\" 'f' # g", "[h]", "q\\"]
MARKS = {"marks.toml": """# '#' in quotes is no comment
api-key = ["a#b", 'x', \"\"\"c = d, "e" 'f' # g\"\"\",  # but this is one
  "[h]", "\\u0071\\\\"]
""", "marks.json": json.dumps({"api-key": ["x", *KEYS]})}


@pytest.mark.parametrize("name", FILES)
def test_settings_from_a_file(model, tmp_path, name):
    path = tmp_path / name
    path.write_text(FILES[name])
    refused = (401, None)
    assert served(model, tmp_path, "--config", path) == {"a": (200, 3), "b": (200, 3), "c": refused}
    assert served(model, tmp_path, BITNET_CONFIG=str(path), BITNET_PARALLEL="4", BITNET_API_KEY="c") == {"a": refused, "b": refused, "c": (200, 4)}
    assert served(model, tmp_path, "--config", path, "--parallel", 5, BITNET_PARALLEL="4") == {"a": (200, 5), "b": (200, 5), "c": refused}


@pytest.mark.parametrize("name", MARKS)
def test_marks_within_quotes_are_text(start, tmp_path, name):
    path = tmp_path / name
    path.write_text(MARKS[name])
    server = start("--config", path)
    for key in KEYS:
        assert server.ask("GET", "/v1/models", headers={"X-Api-Key": key.encode()})[0] == 200, key
    assert server.ask("GET", "/v1/models", headers={"X-Api-Key": "a"})[0] == 401


@pytest.mark.parametrize("text,fact", [('{"paralell": 3}', "'paralell' is no setting"), ("paralell = 3\n", "'paralell' is no setting"), ('{"parallel": "many"}', "many"),
                                       ('{"parallel": 0}', "0"), ("{nonsense", "is no JSON"), ('{"parallel": {"a": 1}}', "parallel is neither"), ("[other]\nparallel = 3\n", "other"),
                                       ('{"config": "x"}', "'config' is no setting"), ("hello world\n", "is no TOML: line 1"), ("host = localhost\n", "is no TOML: line 1"), ("parallel = 2024-01-01\n", "parallel is neither"),
                                       ("parallel = 3\nparallel = 4\n", "line 2"), ("[serve.more]\nparallel = 3\n", "more"), ('{"log-level": "loud"}', "loud")])
def test_a_wrong_setting_is_one_line(model, tmp_path, text, fact):
    path = tmp_path / "file"
    path.write_text(text)
    code, line = served(model, tmp_path, "--config", path)
    assert code == 2 and fact in line and line.count("\n") == 1, line
    assert served(model, tmp_path, "--config", tmp_path / "absent")[0] == 3


def test_reloading(start, tmp_path):
    keys, config = tmp_path / "keys", tmp_path / "bitnet.json"
    cert, key = certificate(tmp_path, "first")
    keys.write_text("# of today\none\ntwo\n")
    config.write_text(json.dumps({"api-key-file": str(keys), "log-level": "info"}))
    server = start("--config", config, "--tls-cert", cert, "--tls-key", key, "--log-format", "text")
    lines = iter(lambda: server.process.stderr.readline().decode(), "")
    next_line = lambda part: next(line for line in lines if part in line)

    def status(name, trust):
        context = ssl.create_default_context(cafile=trust)
        connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=20)
        connection.request("GET", "/v1/models", headers={"X-Api-Key": name})
        return connection.getresponse().status

    assert [status(name, cert) for name in ("one", "two", "three")] == [200, 200, 401]
    next_line("GET /v1/models 401")
    new_cert, new_key = certificate(tmp_path, "second")
    shutil.copy(new_cert, cert), shutil.copy(new_key, key)
    keys.write_text("three\n")
    server.process.send_signal(signal.SIGHUP)
    assert "anew" in next_line("level")
    assert [status(name, new_cert) for name in ("one", "two", "three")] == [401, 401, 200]
    # What is wrong changes nothing, and is told once.
    for wrong in (lambda: keys.write_text("\n"), lambda: cert.write_text("nonsense"), lambda: config.write_text("{")):
        wrong()
        server.process.send_signal(signal.SIGHUP)
        assert "stays as it was" in next_line("stays")
        assert [status(name, new_cert) for name in ("one", "three")] == [401, 200]
        keys.write_text("three\n"), shutil.copy(new_cert, cert)
    config.write_text(json.dumps({"api-key-file": str(keys), "log-level": "error"}))
    server.process.send_signal(signal.SIGHUP)
    next_line("anew")
    assert status("three", new_cert) == 200
    assert server.stop() == 0
    assert "GET" not in server.process.stderr.read().decode()


def test_requests_are_logged_as_json_without_their_texts(start):
    server = start("--log-level", "debug")
    trace = "0af7651916cd43dd8448eb211c80319c"
    secret = "a secret of the prompt"
    server.ask("POST", "/v1/completions", {"prompt": secret, "max_tokens": 5, "stream": True}, {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-Id": "mine"})
    server.ask("POST", "/v1/completions", {"prompt": secret, "max_tokens": "x"}, {"traceparent": "00-zz-b7ad6b7169203331-01"})
    server.ask("GET", "/nothing%0a")
    server.ask("GET", "/health")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        connection.recv(1000)
    assert server.stop() == 0
    text = server.process.stderr.read().decode()
    assert secret not in text and "secret" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    first, second, third, health, broken = requests
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["ts"])
    assert (first["request_id"], first["trace_id"], first["method"], first["route"], first["status"], first["model"]) == ("mine", trace, "POST", "/v1/completions", 200, "tiny")
    assert first["prompt_tokens"] > 10 and 1 <= first["generated_tokens"] <= 5 and first["cached_tokens"] == 0
    assert 0 < first["ttft_ms"] <= first["duration_ms"] < 60000 and first["peer"] == "127.0.0.1"
    assert second["status"] == 400 and "trace_id" not in second and "prompt_tokens" not in second
    assert (third["route"], third["status"]) == ("/nothing%0a", 404)
    assert (health["route"], health["level"]) == ("/health", "debug")
    assert broken["status"] == 400 and broken["request_id"]


def test_a_reader_of_the_log_who_sleeps_stops_nobody(start):
    server = start()  # its log goes into a pipe that nobody reads
    for _ in range(12):
        connection = server.connect()
        for _ in range(100):
            connection.request("GET", "/nothing/" + "x" * 100)
            assert connection.getresponse().read()
        connection.close()
    assert server.stop(10) == 0


def metrics(server):
    _, headers, text = server.ask("GET", "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return text


def test_metrics(start):
    server = start("--parallel", 1, "--max-queue", 1, "--kv-memory", 64, "--metrics-compat", "vllm,llamacpp", "--api-key", "k", "--max-body", 1)
    key = {"Authorization": "Bearer k"}
    for _ in range(2):
        assert server.ask("POST", "/v1/completions", {"prompt": "word " * 100, "max_tokens": 20, "stream": True}, key)[0] == 200
    server.ask("GET", "/v1/models")
    server.ask("GET", "/health", headers={"Host": "evil.example"})
    server.ask("POST", "/v1/completions", "x" * (1 << 20) + "xx", key)
    _, _, text = server.ask("GET", "/metrics", headers=key)
    value = lambda name: float(re.search(rf"^{re.escape(name)} (.*)$", text, re.MULTILINE)[1])
    for reason in ("key", "host_or_origin", "too_large"):
        assert value(f'bitnet_rejected_total{{reason="{reason}"}}') == 1
    assert value('bitnet_rejected_total{reason="queue_full"}') == 0
    assert value("bitnet_queue_wait_seconds_count") == 2 and value("bitnet_generation_seconds_count") == 2
    assert value("bitnet_time_to_first_token_seconds_count") == 2 == value('vllm:time_to_first_token_seconds_count{model_name="tiny"}')
    assert 0 < value("bitnet_kv_use_ratio") < 1 and value("bitnet_kv_pages_most") > 0 and value("bitnet_prefix_cache_pages") > 0
    assert value('bitnet_limit{of="body_bytes"}') == 1 << 20 and re.search(r'bitnet_build_info\{version="\d', text)
    cached = value("bitnet_prompt_tokens_cached_total")
    assert cached > 0 and value('vllm:prefix_cache_hits_total{model_name="tiny"}') == cached == value('vllm:gpu_prefix_cache_hits_total{model_name="tiny"}')
    assert value('vllm:num_requests_running{model_name="tiny"}') == 0 == value('vllm:num_requests_waiting{model_name="tiny"}') == value("llamacpp:requests_processing")
    assert value('vllm:kv_cache_usage_perc{model_name="tiny"}') == value('vllm:gpu_cache_usage_perc{model_name="tiny"}') == value("bitnet_kv_use_ratio")
    successes = [value(f'vllm:request_success_total{{model_name="tiny",finished_reason="{reason}"}}') for reason in ("stop", "length", "abort")]
    assert sum(successes[:2]) == 2 and successes[2] == 0
    assert value("llamacpp:tokens_predicted_total") == value("bitnet_generated_tokens_total") > 0
    pid = server.process.pid
    with open(f"/proc/{pid}/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert abs(value("process_resident_memory_bytes") - resident) < 16 << 20
    assert abs(value("process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 3
    assert 0 < value("process_cpu_seconds_total") < 60 and abs(value("process_start_time_seconds") - time.time()) < 120
    # Every sample belongs to a described family, and none comes twice.
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    samples = re.findall(r"^([a-zA-Z_:]\w*(?::\w+)?)(\{[^}]*\})? [0-9.eE+-]+(?:inf|nan)?$", text, re.MULTILINE)
    assert len(samples) == len(set(samples)) == len([l for l in text.splitlines() if not l.startswith("#")])
    for name, _ in samples:
        assert name in families or re.sub(r"_(bucket|sum|count)$", "", name) in families, name


def test_others_names_are_off_by_default(server):
    assert "vllm:" not in metrics(server) and "llamacpp:" not in metrics(server)


def test_new_requests_of_open_connections_are_refused_while_it_stops(start):
    server = start("--parallel", 1)
    kept = server.connect()
    kept.request("GET", "/health")
    assert kept.getresponse().read() == b'{"status":"ok"}'
    live = server.connect()
    live.request("GET", "/healthz")
    live.getresponse().read()
    running = send(server, prompt="a", max_tokens=2000, ignore_eos=True, stream=True, n=8)
    wait_for(lambda: server.metric("bitnet_sequences_running") == 1, "it runs")
    server.process.send_signal(signal.SIGTERM)
    def closed():
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
            return False
        except OSError:
            return True
    wait_for(closed, "nothing more is accepted")
    kept.request("GET", "/health")
    answer = kept.getresponse()
    assert answer.status == 503 and b"draining" in answer.read()
    live.request("GET", "/healthz")
    assert live.getresponse().status == 200
    text = b""
    while part := running.recv(1 << 16):
        text += part
    assert b"data: [DONE]" in text
    assert server.process.wait(20) == 0
