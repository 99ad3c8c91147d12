"""Do text and ids agree with each tokenizer's own implementation, from every file form a tokenizer comes in?"""
import gzip
import json

import pytest
from conftest import ORACLE

TOKENIZERS = ORACLE / "tok" / "tokenizers"
FORMS = {"tokenizer.json.gz": "--tokenizer", "spiece.model": "--tokenizer", "vocab.gguf.gz": "-m"}
CASES = [(folder.name, form) for folder in sorted(TOKENIZERS.glob("*")) for form in FORMS if (folder / form).is_file()]


def pytest_generate_tests(metafunc):
    if "form" in metafunc.fixturenames:
        cases = CASES or [pytest.param(None, None, marks=pytest.mark.skip("no ../shared/oracle/tok beside this checkout"))]
        metafunc.parametrize("name, form", cases)


@pytest.fixture
def tokenizer(tmp_path, name, form):
    """The flag and file that name this tokenizer to the program."""
    path = tmp_path / form.removesuffix(".gz")
    data = (TOKENIZERS / name / form).read_bytes()
    path.write_bytes(gzip.decompress(data) if form.endswith(".gz") else data)
    return [FORMS[form], path]


def expected_cases(name):
    return json.loads((ORACLE / "tok" / f"{name}.json").read_text())


def first_differences(cases, found, expected):
    return [{"text": c["text"], "found": f, "expected": e} for c, f, e in zip(cases, found, expected, strict=True) if f != e][:3]


def test_text_becomes_the_same_ids(bitnet, name, form, tokenizer):
    cases = expected_cases(name)
    found = bitnet.lines("tokenize", tokenizer, [c["text"] for c in cases])
    assert first_differences(cases, found, [c["ids"] for c in cases]) == []


def test_ids_become_the_same_text(bitnet, name, form, tokenizer):
    cases = expected_cases(name)
    found = bitnet.lines("detokenize", tokenizer, [c["ids"] for c in cases])
    assert first_differences(cases, found, [c["decoded"] for c in cases]) == []
