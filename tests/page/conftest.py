"""What the tests of the page share: Chromium, a server, pages that report every error and every request that leaves the server."""
import importlib.util
import json
import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("BITNET_SHOTS", ROOT / "build" / "page"))
spec = importlib.util.spec_from_file_location("server_fixtures", ROOT / "tests" / "server" / "conftest.py")
server_fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server_fixtures)
model, start, server = server_fixtures.model, server_fixtures.start, server_fixtures.server


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        path = os.environ.get("BITNET_CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])  # root in a container has no sandbox
        yield browser
        browser.close()


class Tab:
    """A page of the server in a browser profile of its own."""

    def __init__(self, browser, server, expected=(), **options):
        self.context = browser.new_context(**options)
        self.origin = f"http://127.0.0.1:{server.port}"
        self.errors, self.requests, self.dialogs = [], [], []
        self.expected = expected  # parts of console lines that may come
        self.page = self.context.new_page()
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.context.on("request", lambda request: self.requests.append(request))
        self.load()

    def load(self):
        self.page.goto(self.origin + "/")
        self.wait(lambda: self.page.title() != "bitnet" or self.page.locator("#key-dialog").is_visible() or self.problem(), "the model's name")

    def wait(self, condition, what, seconds=30):
        """The page's policy forbids evaluation of text within it, so what waits is here."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.problem()}, {self.errors}"
            self.page.wait_for_timeout(20)

    def problem(self):
        return self.page.locator("#problem").text_content() if self.page.locator("#problem").is_visible() else ""

    def turns(self):
        return self.page.locator("#log .turn .body").all_text_contents()

    def send(self, text, ended=True):
        self.page.fill("#text", text)
        before = len(self.turns())
        self.page.press("#text", "Enter")
        if ended:
            self.wait(lambda: len(self.turns()) > before, "a turn")
            self.ended()

    def ended(self):
        self.wait(lambda: self.page.locator(".busy").count() == 0 and self.page.locator("#send").is_visible(), "the answer's end")

    def bodies(self):
        """Of the completions that were asked for."""
        return [json.loads(r.post_data) for r in self.requests if r.method == "POST" and "completions" in r.url]

    def answer_with(self, text, status=200, headers=None):
        """From now on every chat completion is this text."""
        delta = lambda d, reason=None: {"choices": [{"index": 0, "delta": d, "finish_reason": reason}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}}
        events = [delta({"role": "assistant", "content": ""}), *(delta({"content": text[i:i + 7]}) for i in range(0, len(text), 7)), delta({}, "stop"), usage]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        if status != 200:
            body = json.dumps({"error": {"message": text, "type": "x", "param": None, "code": None}})
        self.page.route("**/v1/chat/completions", lambda route: route.fulfill(
            status=status, content_type="text/event-stream" if status == 200 else "application/json", body=body, headers=headers))

    def slow_down(self):
        """The tiny model is faster than eyes; a thin line is not."""
        session = self.context.new_cdp_session(self.page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, "downloadThroughput": 40000, "uploadThroughput": -1})

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(250)  # for transitions
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self):
        self.context.close()
        foreign = [r.url for r in self.requests if not r.url.startswith((self.origin + "/", f"blob:{self.origin}/"))]
        assert not foreign, "the page asked others"
        unexpected = [line for line in self.errors if not any(part in line for part in self.expected)]
        assert not unexpected and not self.dialogs


@pytest.fixture
def tab(browser, request):
    """Opens tabs; each must have had no console error and no request elsewhere when the test ends."""
    tabs = []

    def opened(server, **options):
        tabs.append(Tab(browser, server, **options))
        return tabs[-1]

    yield opened
    for one in tabs:
        one.close()
