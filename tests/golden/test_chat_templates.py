"""Do chat templates render as jinja2 renders them in its sandbox, set up as transformers does: the same text, or an error on both sides?"""
import datetime
import functools
import glob
import gzip
import itertools
import json
import os
import struct
import subprocess
from pathlib import Path

import jinja2
import jinja2.ext
import jinja2.nodes
import pytest
from conftest import ORACLE
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Turn formats with the features of the published families (*.jinja) and single expressions (expressions.txt), written for this test.
HERE = Path(__file__).resolve().parent / "chat_templates"


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks the assistant's text for training; renders as its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("passed_through"), [], [], body).set_lineno(line)

    def passed_through(self, caller):
        return caller()


def make_environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


@functools.lru_cache(maxsize=1)  # the cases of one template follow each other
def compiled(environment, source):
    return environment.from_string(source)


def expected(environment, case):
    """The text, or None where jinja2 fails."""
    try:
        return compiled(environment, case["template"]).render(**case["context"])
    except Exception:  # noqa: BLE001: whatever Python raises is an error for us
        return None


TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Says the\nweather <\u00e9>", "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "a 'city'"},
            "days": {"type": "integer", "default": 3, "x": 1.5e-7},
            "units": {"enum": ["C", "F"]},
            "where": {"type": "array", "items": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {}}}}}}}},
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}, "return": None}},
]


def conversations():
    u = {"role": "user", "content": "  Hi \"there\" & <b>'you'</b>\n\u4e16\u754c \U0001f600 "}
    a = {"role": "assistant", "content": "\nHello.\n"}
    s = {"role": "system", "content": " Be\tbrief.\n\n"}
    think = {"role": "assistant", "content": "<think>\nlet me\n</think>\n\nDone."}
    arguments = {"city": "Z\u00fcrich", "days": 2, "deep": {"a": [1, 2.5, None, True]}}
    call = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}]}
    call_text = {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call_2", "type": "function", "function": {"name": "stop", "arguments": "{}"}}]}
    tool = {"role": "tool", "content": "{\"t\": 21}", "name": "weather"}
    parts = {"role": "user", "content": [{"type": "text", "text": " look "}, {"type": "image"}]}
    return [[u], [s, u], [u, a, u], [s, u, a, u, a], [u, think, u, think], [s, u, call, tool, a], [u, call_text, tool, tool, think],
            [parts], [s, parts, a], [u, u], [a], [u, call, tool, call, tool], [{"role": "user", "content": ""}], [s, s, u]]


def contexts():
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    for messages in conversations():
        for tools, prompt in itertools.product((None, TOOLS), (True, False)):
            yield {"messages": messages, "add_generation_prompt": prompt} | special | ({} if tools is None else {"tools": tools})
    yield special | {"messages": conversations()[3][1:3], "date_string": "1 Jan 2025", "enable_thinking": False, "add_generation_prompt": True}
    yield special | {"messages": []}


def gguf_template(path):
    """The string value behind the key; found by its bytes, since parsing whole vocabularies in Python takes a minute."""
    key = b"tokenizer.chat_template" + struct.pack("<I", 8)
    with gzip.open(path) as packed:
        _, found, value = packed.read().partition(key)
    return value[8:8 + struct.unpack_from("<Q", value)[0]].decode() if found else None


def published_templates():
    """Those of the tokenizers beside the checkout; none when they are absent."""
    tokenizers = os.path.join(ORACLE, "tok", "tokenizers")
    for path in sorted(glob.glob(os.path.join(tokenizers, "*", "tokenizer_config.json"))):
        template = json.loads(Path(path).read_text(encoding="utf-8")).get("chat_template")
        if isinstance(template, str):
            yield template
    for path in sorted(glob.glob(os.path.join(tokenizers, "*", "vocab.gguf.gz"))):
        if template := gguf_template(path):
            yield template


SMALL_CONTEXT = {
    "x": 7, "f": 2.5, "neg": -3, "big": 9007199254740993, "zero": 0, "t": True, "n": None, "s": "Hello World", "e": "",
    "u": "Stra\u00dfe \u00c4\u00d6 \u4e16\u754c \U0001f600",
    "ws": " \t a  b\nc \r\n", "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "le": [], "d": {"b": 1, "a": {"k": [1, 2]}, "items": 5, "C": "z"},
    "users": [{"name": "Bob", "age": 30, "city": {"n": "x"}}, {"name": "al", "age": 25, "city": {"n": "y"}},
              {"name": "Cy", "age": 30, "city": {"n": "x"}}],
    "q": "it's \"q\"\\ \n\t\x01\x7f\u00e9\u200b", "m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "floats": [1.0, 0.1, 1e16, 1e15, 1e-5, 0.0001, 123456789.123, 1e22, -0.0, 1e300, 3.14], "html": "<a href='x'>&\"</a>",
}


def whitespace_templates():
    """Every way in which tags and the text around them can meet."""
    marks, before_tag = ["", "-", "+"], ["", "a", "a ", "a\n", "a\n  ", "  ", "\n \t"]
    behind_tag = ["", "b", " b", "\nb", "\n\n b", "\r\nb", "  "]
    for left, right, before, behind in itertools.product(marks, marks, before_tag, behind_tag):
        yield before + "{%" + left + " if t " + right + "%}" + behind + "{% endif %}z"
        yield before + "{#" + left + " c " + right + "#}" + behind + "z"
        if right != "+":
            yield before + "{{" + left + " x " + right + "}}" + behind + "z"
            yield before + "{%" + left + " raw " + right + "%}" + behind + " {{ x }}\n  {%" + left + " endraw " + right + "%}" + behind + "z"


def all_cases():
    families = [path.read_bytes().decode() for path in sorted(HERE.glob("*.jinja"))]
    assert len(families) == 8
    for template in itertools.chain(published_templates(), families):
        for context in contexts():
            yield {"template": template, "context": context}
    small = (HERE / "expressions.txt").read_text(encoding="utf-8").split("\n----\n")
    for template in itertools.chain(small, whitespace_templates()):
        yield {"template": template, "context": SMALL_CONTEXT}


def rendered(cases, folder):
    """[{"text": ...} or {"error": ...}] from the C++ test program."""
    path = folder / "cases.json"
    path.write_text(json.dumps(cases), encoding="utf-8")
    subprocess.run([os.environ["BITNET_TOKENIZERS_TEST"], "--gtest_filter=ChatTemplateCases.*"], check=True,
                   env=os.environ | {"BITNET_TEMPLATE_CASES": str(path)}, stdout=subprocess.DEVNULL, timeout=600)
    return json.loads((folder / "cases.json.out").read_text(encoding="utf-8"))


@pytest.mark.skipif("BITNET_TOKENIZERS_TEST" not in os.environ, reason="BITNET_TOKENIZERS_TEST names no bitnet-tokenizers-test program")
def test_templates_render_as_in_jinja2(tmp_path):
    cases = list(all_cases())
    environment = make_environment()
    results = rendered(cases, tmp_path)
    assert len(results) == len(cases)
    differing = [f"{case['template'][-300:]!r}\n  jinja2: {want!r}\n  ours:   {result!r}"
                 for case, result in zip(cases, results, strict=True)
                 if result.get("text") != (want := expected(environment, case))]
    assert not differing, f"{len(differing)} of {len(cases)} cases differ:\n" + "\n".join(differing[:20])
    print(f"{len(cases)} cases equal")
