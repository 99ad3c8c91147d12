"""Does the page in the server do what its controls say, in a real browser?"""
import json
import re

import pytest
from conftest import ROOT

WIDE = {"width": 1180, "height": 820}
NARROW = {"width": 390, "height": 800}


def set_fields(tab, **fields):
    tab.page.click("#tune")
    for name, value in fields.items():
        tab.page.fill(f"#p-{name}", str(value))
    tab.page.click("#panel-close")


def test_an_answer_streams_and_is_the_server_s(tab, server):
    t = tab(server, viewport=WIDE)
    set_fields(t, seed=5, max_tokens=300, temperature=0.7, system="Be kind.")
    t.slow_down()
    seen = set()
    t.send("Hello", ended=False)
    t.wait(lambda: len(t.turns()) == 2, "a turn")
    while t.page.locator(".busy").count():
        seen.add(t.turns()[1])
        assert t.page.locator("[aria-busy=true]").count() <= 1 and t.page.locator("#status").text_content() == ""
    assert len(seen) > 2, "it came at once"
    t.ended()
    body = t.bodies()[-1]
    assert (body["seed"], body["max_tokens"], body["temperature"], body["stream"]) == (5, 300, 0.7, True) and "top_p" not in body
    assert body["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    whole = server.post("/v1/chat/completions", **(body | {"stream": False, "stream_options": None}))
    kept = t.page.evaluate("Object.values(localStorage).map(text => JSON.parse(text)).find(found => found.turns)")
    assert kept["turns"][1]["text"] == whole["choices"][0]["message"]["content"]
    count, total = whole["usage"]["completion_tokens"], whole["usage"]["total_tokens"]
    assert re.match(rf"{count} tokens, [\d.]+ a second", t.page.locator(".stats").text_content())
    assert t.page.locator("#context-text").text_content() == f"{total} of 2,048 tokens"
    t.wait(lambda: t.page.locator("#status").text_content().startswith("Answer finished"), "the end is told")


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop(tab, server, way):
    t = tab(server)
    set_fields(t, max_tokens=100000)
    t.slow_down()
    t.send("Hello", ended=False)
    t.wait(lambda: len(t.turns()) == 2 and len(t.turns()[1]) > 5, "some text")
    t.page.click("#stop") if way == "button" else t.page.keyboard.press("Escape")
    t.ended()
    assert "stopped" in t.page.locator(".stats").text_content() and len(t.turns()[1]) > 5
    assert t.page.evaluate("document.activeElement.id") == "text"
    t.wait(lambda: t.page.locator("#status").text_content().startswith("Answer finished"), "the end is told")
    t.wait(lambda: server.metric("bitnet_sequences_running") == 0, "the server stopped, too")


def test_regenerate_and_edit(tab, server):
    t = tab(server)
    set_fields(t, max_tokens=12)
    for text in ("first", "second", "third"):
        t.send(text)
    assert len(t.turns()) == 6
    first_answer = t.bodies()[1]["messages"][1]
    t.page.locator(".turn.assistant").nth(1).hover()
    t.page.locator(".turn.assistant").nth(1).get_by_role("button", name="Regenerate this answer").click()
    t.ended()
    assert len(t.turns()) == 4
    assert t.bodies()[-1]["messages"] == [{"role": "user", "content": "first"}, first_answer, {"role": "user", "content": "second"}]
    t.page.locator(".turn.user").nth(0).hover()
    t.page.locator(".turn.user").nth(0).get_by_role("button", name="Edit this message").click()
    editor = t.page.get_by_role("textbox", name="Edit the message")
    assert editor.input_value() == "first"
    editor.press("Escape")
    assert len(t.turns()) == 4 and t.page.locator(".editor").count() == 0
    t.page.locator(".turn.user").nth(0).get_by_role("button", name="Edit this message").click()
    t.page.get_by_role("textbox", name="Edit the message").fill("changed")
    t.page.get_by_role("button", name="Save and answer").click()
    t.ended()
    assert t.turns()[0] == "changed" and len(t.turns()) == 2
    assert t.bodies()[-1]["messages"] == [{"role": "user", "content": "changed"}]


def test_parameters_and_conversations_are_kept(tab, server):
    t = tab(server)
    set_fields(t, top_k=7, max_tokens=4)
    t.send("one")
    t.page.click("#new")
    t.send("two")
    t.load()
    assert t.page.locator("#p-top_k").input_value() == "7"
    assert t.page.locator(".entry").all_text_contents() == ["two", "one"]
    t.page.get_by_role("button", name="one", exact=True).click()
    assert t.turns()[0] == "one" and len(t.turns()) == 2
    t.page.locator("#list li").nth(1).hover()
    t.page.get_by_role("button", name="Delete \u201cone\u201d").click()
    assert t.page.locator(".entry").all_text_contents() == ["two"] and t.turns() == []
    t.page.get_by_role("button", name="Undo").click()
    assert t.turns()[0] == "one" and t.page.locator(".entry").count() == 2


def test_old_conversations_make_room(tab, server):
    t = tab(server)
    t.page.evaluate("""() => { for (let i = 0; i < 80; ++i) localStorage.setItem(`bitnet.conversation.x${i}`, JSON.stringify(
        {id: `x${i}`, title: "", updated: i, mode: "chat", turns: [{role: "user", text: "t".repeat(40000)}]}));
        localStorage.setItem("bitnet.conversation.bad", "{nonsense"); localStorage.setItem("bitnet.conversation.odd", '{"turns": 5}'); }""")
    set_fields(t, max_tokens=3)
    t.send("new one")
    names = t.page.evaluate("Object.keys(localStorage).filter(n => n.startsWith('bitnet.conversation.x'))")
    assert len(names) == 59 and "bitnet.conversation.x20" not in names and "bitnet.conversation.x79" in names
    assert t.page.locator(".entry").first.text_content() == "new one"


MARKDOWN = (ROOT / "tests/page/markdown.md").read_text()


def test_markdown(tab, server):
    t = tab(server, viewport=WIDE)
    t.answer_with(MARKDOWN)
    t.send("Show me Markdown")
    body = t.page.locator(".turn.assistant .body")
    html = t.page.evaluate("document.querySelector('.turn.assistant .body').innerHTML")
    for part in ("<strong>strong</strong>", "<em>emphasis</em>", "<strong><em>both</em></strong>", "<s>gone</s>", "<code>a * b</code>",
                 "snake_case_name", "2 * 3 * 4", "<ol><li>one<ul><li>inner</li><li>inner two</li></ul></li><li>two</li></ol>", "<hr>",
                 "<blockquote><p>quoted</p></blockquote>", '<th class="right" scope="col">right</th>', '<td class="right">1 | 2</td>', "line<br>break"):
        assert part in html, part
    assert body.locator("h3").all_text_contents() == ["Heading"]
    assert body.locator("pre code").text_content() == "def f(x):\n    return x < 1  # *not* em\n"[:-1]
    assert body.locator(".language").text_content() == "python"
    links = body.locator("a").evaluate_all("all => all.map(a => [a.textContent, a.getAttribute('href'), a.rel, a.target])")
    rel = "noopener noreferrer nofollow ugc"
    assert links == [["a link", "https://example.org/a_(b)?q=1", rel, "_blank"], ["https://example.com/x_y", "https://example.com/x_y", rel, "_blank"]]
    t.context.grant_permissions(["clipboard-read", "clipboard-write"])
    body.get_by_role("button", name="Copy this code").click()
    t.wait(lambda: t.page.evaluate("navigator.clipboard.readText()") == body.locator("pre code").text_content(), "the copy")
    t.page.evaluate("document.getElementById('scroll').scrollTop = 0")
    t.shot("chat-light")


HOSTILE = [line for line in (ROOT / "tests/page/hostile.txt").read_text().splitlines() if line and not line.startswith("# ")]


def test_hostile_text_stays_text(tab, server):
    t = tab(server)
    t.answer_with("\n\n".join(HOSTILE))
    t.send("<img src=x onerror=alert(1)><script>alert(2)</script>")
    found = t.page.evaluate("""() => ({
        elements: [...document.querySelectorAll('#log *')].map(e => e.tagName).filter(n => /^(IMG|SCRIPT|IFRAME|OBJECT|EMBED|STYLE|LINK|META|FORM|INPUT|VIDEO|AUDIO|BASE|TEMPLATE|MATH)$/.test(n)),
        handlers: [...document.querySelectorAll('#log *')].flatMap(e => [...e.attributes].map(a => a.name)).filter(n => n.startsWith('on') || n === 'style' || n === 'srcdoc'),
        links: [...document.querySelectorAll('#log a')].map(a => [a.protocol, a.rel]), pwned: window.pwned ?? null})""")
    assert found["elements"] == [] and found["handlers"] == [] and found["pwned"] is None
    assert all(protocol in ("http:", "https:") and "noopener" in rel for protocol, rel in found["links"])
    text = t.page.locator(".turn.assistant .body").text_content()
    for part in ("<script>", "onerror=", "<iframe", "javascript:", "<svg", "data:text/html", "vbscript:"):
        assert part in text, part
    assert t.turns()[0] == "<img src=x onerror=alert(1)><script>alert(2)</script>"
    # Titles and the list show text, too.
    assert t.page.locator(".entry").first.text_content().startswith("<img")
    t.load()
    t.page.locator(".entry").first.click()
    assert t.page.evaluate("document.querySelectorAll('#log img, #log script, #list img').length") == 0


@pytest.mark.parametrize("text", ["*" * 60000, "`a``b```c" * 8000, "[" * 60000, "[a](" * 20000, "> " * 30000, "- " * 30000, "|a" * 30000 + "\n" + "|-" * 30000,
                                  "#" * 60000, "```" + "x" * 60000 + "`", "_a" * 30000, "<h" * 30000, "https://" * 8000, "* a\n" * 15000, "**a " * 15000,
                                  " " * 60000 + "x", "1. " * 20000, "~~~\n" * 15000, "\\" * 60000, "![" * 30000, "a\n\n" * 20000])
def test_any_text_is_shown_soon(tab, server, text):
    t = tab(server)
    ms = t.page.evaluate("""async text => { const { render } = await import('/page/markdown.js'); const start = performance.now(); render(text); return performance.now() - start; }""", text)
    assert ms < 1500


def test_export(tab, server):
    t = tab(server)
    t.answer_with("An **answer**.")
    t.send("A question, please")
    found = {}
    for name, label in (("json", "Export as JSON"), ("md", "Export as Markdown")):
        t.page.click("#export summary")
        with t.page.expect_download() as download:
            t.page.get_by_role("button", name=label).click()
        assert download.value.suggested_filename == f"a-question-please.{name}"
        found[name] = download.value.path().read_text()
    exported = json.loads(found["json"])
    assert exported["messages"] == [{"role": "user", "content": "A question, please"}, {"role": "assistant", "content": "An **answer**."}]
    assert exported["model"] == "tiny"
    assert found["md"] == "# A question, please\n\n## You\n\nA question, please\n\n## Model\n\nAn **answer**.\n"


def background(tab):
    return tab.page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_colours(tab, server):
    light, dark = tab(server, color_scheme="light"), tab(server, color_scheme="dark", viewport=WIDE)
    assert background(light) == "rgb(251, 250, 248)" and background(dark) == "rgb(21, 23, 26)"
    dark.page.click("#theme")  # light
    assert background(dark) == "rgb(251, 250, 248)"
    dark.load()
    assert background(dark) == "rgb(251, 250, 248)" and dark.page.get_by_role("button", name="Colours: light").count() == 1
    light.page.click("#theme"), light.page.click("#theme")
    assert background(light) == "rgb(21, 23, 26)"
    dark.page.click("#theme"), dark.page.click("#theme")
    dark.answer_with(MARKDOWN)
    dark.send("Show me Markdown")
    dark.page.evaluate("document.getElementById('scroll').scrollTop = 0")
    dark.page.click("#tune")
    dark.shot("chat-dark")


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast():
    """WCAG 2.1 AA: 4.5 to 1 for text, 3 to 1 for the edges of controls."""
    style = (ROOT / "src/server/page/style.css").read_text()
    for block in re.findall(r"--paper: [^}]*?--shadow", style):
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for above, below, least in [("ink", "paper", 7), ("ink", "tint", 7), ("ink", "side", 7), ("soft", "paper", 4.5), ("soft", "side", 4.5), ("soft", "sheet", 4.5),
                                    ("soft", "tint", 4.5), ("accent", "paper", 4.5), ("accent", "side", 4.5), ("accent", "tint", 4.5), ("accent-ink", "accent", 4.5), ("bad", "bad-tint", 4.5),
                                    ("line-strong", "paper", 3), ("line-strong", "sheet", 3), ("accent", "sheet", 3)]:
            a, b = sorted((luminance(colours[above]), luminance(colours[below])))
            assert (b + 0.05) / (a + 0.05) >= least, (above, below, (b + 0.05) / (a + 0.05))


def test_all_of_it_by_keyboard(tab, server):
    t = tab(server)
    keys = t.page.keyboard
    focused = lambda: t.page.evaluate("[document.activeElement.id, document.activeElement.getAttribute('aria-label'), document.activeElement.textContent.trim()].find(Boolean)")
    keys.press("Tab")
    assert focused() == "Skip to the message box"
    assert t.page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
    keys.press("Enter")
    assert focused() == "text"
    set_fields(t, max_tokens=20)
    t.page.focus("#text")
    keys.type("one")
    keys.press("Shift+Enter")
    keys.type("two")
    assert t.page.input_value("#text") == "one\ntwo"
    keys.press("Enter")
    t.wait(lambda: len(t.turns()) == 2, "the answer")
    t.ended()
    assert t.turns()[0] == "one\ntwo"
    t.page.focus("#side-open")
    order = []
    for _ in range(10):
        order.append(focused())
        outline = t.page.evaluate("[getComputedStyle(document.activeElement).outlineStyle, getComputedStyle(document.activeElement.closest('.box') ?? document.activeElement).outlineStyle]")
        assert "solid" in outline, f"no visible focus on {order[-1]}"
        keys.press("Tab")
    assert order[:6] == ["side-open", "Export the conversation", "theme", "tune", "Copy this message", "Edit this message"]
    assert order[6:10] == ["Copy this answer", "Regenerate this answer", "text", "send"]
    t.page.focus("#tune")
    keys.press("Enter")
    assert focused() == "p-system"
    keys.press("Escape")
    assert focused() == "tune" and t.page.locator("#panel").is_hidden()


def test_the_accessibility_tree(tab, server):
    t = tab(server)
    set_fields(t, max_tokens=5)
    t.send("Hello")
    tree = t.page.locator("body").aria_snapshot()
    for part in ("link \"Skip to the message box\"", "navigation \"Conversations\"", "banner", "heading \"tiny\" [level=1]", "main \"Conversation\"", "article \"You\"",
                 "article \"Model\"", "form \"Write\"", "textbox \"Message\"", "button \"Send\"", "button \"New conversation\"", "status", "meter \"Context in use\"",
                 "button \"Regenerate this answer\"", "button \"Parameters\"", "button \"Colours: as the system\""):
        assert part in tree, f"{part}\n{tree}"
    t.page.click("#tune")
    tree = t.page.locator("body").aria_snapshot()
    for part in ("complementary \"Parameters\"", "textbox \"System prompt\"", "spinbutton \"Temperature\"", "spinbutton \"Top p\"", "spinbutton \"Seed\""):
        assert part in tree, f"{part}\n{tree}"
    unnamed = t.page.evaluate("""() => [...document.querySelectorAll('button, input, textarea, select, summary')].filter(e =>
        !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)""")
    assert unnamed == []
    # The log is no live region: only the end is told.
    assert t.page.evaluate("document.querySelectorAll('[aria-live], [role=status], [role=log], [role=alert]').length") == 3
    assert t.page.evaluate("document.documentElement.lang") == "en"


def test_a_key_is_asked_for(tab, start):
    server = start("--api-key", "secret")
    t = tab(server, expected=("401",))
    dialog = t.page.get_by_role("dialog", name="This server asks for a key")
    assert dialog.is_visible() and t.page.evaluate("document.activeElement.id") == "key"
    t.page.fill("#key", "wrong")
    t.page.keyboard.press("Enter")
    t.wait(lambda: t.page.locator("#key-wrong").is_visible(), "it is told that the key is wrong")
    t.page.fill("#key", "secret")
    t.page.keyboard.press("Enter")
    t.wait(lambda: t.page.title().startswith("tiny"), "the model's name")
    set_fields(t, max_tokens=3)
    t.send("Hello")
    assert len(t.turns()) == 2
    assert t.page.evaluate("Object.values(sessionStorage)") == ["secret"]
    assert not any("secret" in value for value in t.page.evaluate("Object.values(localStorage)"))
    t.load()
    assert dialog.is_hidden() and t.page.title().startswith("tiny")


def test_errors_are_told_and_nothing_is_lost(tab, server):
    t = tab(server, expected=("429", "500", "Failed to load"))
    t.answer_with("full", 429, {"Retry-After": "7"})
    t.send("Hello", ended=False)
    t.wait(lambda: "about 7 s" in t.problem(), "the time to wait")
    assert t.turns() == ["Hello"]
    t.page.unroute("**/v1/chat/completions")
    t.page.route("**/v1/chat/completions", lambda route: route.fulfill(status=200, content_type="text/event-stream", body=
        'data: {"choices":[{"index":0,"delta":{"content":"half an"},"finish_reason":null}]}\n\n'))
    t.send("Again", ended=False)
    t.wait(lambda: "ended before the answer did" in t.problem(), "the broken stream")
    assert t.turns() == ["Again", "half an"]
    t.page.unroute("**/v1/chat/completions")
    set_fields(t, max_tokens=3)
    t.page.fill("#text", "word " * 3000)
    t.page.press("#text", "Enter")
    t.wait(lambda: "no longer fits" in t.problem(), "the context")
    t.expected += ("400",)


def test_a_story(tab, start):
    server = start(file=ROOT / "models/default.gguf")
    for name, options in {"story-light": {"viewport": WIDE}, "story-dark": {"viewport": WIDE, "color_scheme": "dark"}, "story-narrow": {"viewport": NARROW}}.items():
        t = tab(server, **options)
        assert t.page.evaluate("document.documentElement.dataset.mode") == "story"
        t.shot(f"{name}-empty")
        set_fields(t, seed=7, max_tokens=120, temperature=0.7)
        t.send("Once upon a time there was a little robot who")
        t.page.mouse.move(5, 5)
        t.shot(name)
        t.send("The next morning")
        parts = t.turns()
        bodies = t.bodies()
        assert bodies[0]["prompt"] == parts[0] and bodies[1]["prompt"] == "".join(parts[:3])
        assert parts[2] == ("The next morning" if parts[1][-1].isspace() else " The next morning")
        assert parts[1] == server.post("/v1/completions", **(bodies[0] | {"stream": False, "stream_options": None}))["choices"][0]["text"]
        t.page.focus("#text")
        t.page.keyboard.press("Enter")  # with nothing written it goes on
        t.wait(lambda: len(t.turns()) == 5, "it goes on")
        t.ended()
        assert t.bodies()[2]["prompt"] == "".join(parts)


def test_narrow_screens(tab, server):
    t = tab(server, viewport={"width": 360, "height": 640}, has_touch=True)
    t.answer_with(MARKDOWN)
    t.send("Show me Markdown")
    assert t.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert t.page.evaluate("document.getElementById('scroll').scrollWidth <= document.getElementById('scroll').clientWidth")
    t.page.evaluate("document.getElementById('scroll').scrollTop = 0")
    t.shot("chat-narrow")
    assert t.page.locator("#side").is_hidden()
    t.page.click("#side-open")
    t.wait(lambda: t.page.locator("#side").is_visible(), "the list")
    t.shot("chat-narrow-list")
    t.page.keyboard.press("Escape")
    t.wait(lambda: t.page.locator("#side").is_hidden(), "it is closed")
    t.page.click("#tune")
    t.shot("chat-narrow-parameters")
