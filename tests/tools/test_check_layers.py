"""Does tools/check_layers.py find each kind of broken rule, and nothing in a tree that keeps them?"""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import check_layers  # noqa: E402

PURPOSE = "// A thing: what this file is about.\n"


@pytest.fixture
def tree(tmp_path):
    """write(NAME, TEXT) puts a file into an empty project; facts() are the problems found, as "NAME:LINE: FACT"."""

    class Tree:
        root = tmp_path

        def write(self, name, text=PURPOSE):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        def facts(self, long_files=()):
            problems, _ = check_layers.check(tmp_path, long_files)
            return [f"{name}:{line}: {fact}" for name, line, fact in problems]

    return Tree()


def test_a_tree_that_keeps_the_rules_has_no_problems(tree):
    tree.write("src/common/error.h")
    tree.write("src/models/reader.h", PURPOSE + '#include <vector>\n#include "common/error.h"\n#include "models/reader.h"\n')
    tree.write("src/wasm/face.cc", PURPOSE + '#include "models/reader.h"\n')
    assert tree.facts() == []


@pytest.mark.parametrize(
    "component, target",
    [("common", "kernels"), ("kernels", "quantization"), ("tokenizers", "models"), ("tokenizers", "kernels"),
     ("models", "tokenizers"), ("inference", "cli"), ("server", "cli"), ("server", "ffi"), ("models", "models/hub"),
     ("models/hub", "models"), ("inference", "models/hub")],
)
def test_an_include_that_does_not_lead_downwards_is_named(tree, component, target):
    tree.write(f"src/{target}/it.h")
    tree.write(f"src/{component}/user.cc", PURPOSE + f'\n#include "{target}/it.h"\n')
    (fact,) = tree.facts()
    assert fact.startswith(f'src/{component}/user.cc:3: {component} must not include "{target}/it.h"')


@pytest.mark.parametrize("component, target", [("wasm", "ffi"), ("inference", "kernels"), ("cli", "common"), ("models", "kernels"),
                                               ("models/hub", "common"), ("cli", "models/hub")])
def test_an_include_of_any_lower_level_is_allowed(tree, component, target):
    tree.write(f"src/{target}/it.h")
    tree.write(f"src/{component}/user.cc", PURPOSE + f'#include "{target}/it.h"\n')
    assert tree.facts() == []


def test_an_include_not_written_from_src_is_named(tree):
    tree.write("src/common/error.h")
    tree.write("src/common/error.cc", PURPOSE + '#include "error.h"\n')
    (fact,) = tree.facts()
    assert fact.startswith('src/common/error.cc:2: "error.h" is not written from src/')


def test_an_include_of_a_missing_file_is_named(tree):
    tree.write("src/common/error.cc", PURPOSE + '#include "common/errors.h"\n')
    assert tree.facts() == ['src/common/error.cc:2: "common/errors.h" does not exist below src/']


def test_a_folder_that_is_no_component_is_named(tree):
    tree.write("src/utils/all.h")
    (fact,) = tree.facts()
    assert "'utils' is not a component" in fact


@pytest.mark.parametrize(
    "name, text, fact",
    [("src/common/a.h", "#pragma once\n", "no comment"), ("src/common/a.h", "", "no comment"),
     ("src/common/a.cc", "// Copyright 2026 Somebody and others\n", "licence"), ("src/common/a.h", "// a.h\n", "too little"),
     ("tools/a.py", "import os\n", "no comment"), ("scripts/a", "#!/bin/sh\nset -e\n", "no comment"),
     ("cmake/a.cmake", "set(A 1)\n", "no comment"), ("src/common/a.h", "# A thing: not a C++ comment\n", "no comment")],
)
def test_a_first_line_without_a_purpose_is_named(tree, name, text, fact):
    tree.write(name, text)
    (found,) = tree.facts()
    assert fact in found


@pytest.mark.parametrize(
    "name, text",
    [("tools/a.py", '"""Does one thing, in words."""\n'), ("tools/b.py", "#!/usr/bin/env python3\n# Does one thing, in words.\n"),
     ("scripts/a", "#!/bin/sh\n# Does one thing.\n"), ("cmake/a.cmake", "# add_it(NAME): the only way to add it.\n")],
)
def test_every_language_can_state_its_purpose(tree, name, text):
    tree.write(name, text)
    assert tree.facts() == []


def test_a_long_file_needs_a_reason(tree):
    tree.write("src/common/limit.cc", PURPOSE + "\n" * (check_layers.MAX_LINES - 1))
    tree.write("src/common/over.cc", PURPOSE + "\n" * check_layers.MAX_LINES)
    (fact,) = tree.facts()
    assert fact.startswith("src/common/over.cc:401: 401 lines, at most 400")
    assert tree.facts({"src/common/over.cc": "a table"}) == []


def test_a_reason_for_a_file_that_is_not_long_is_named(tree):
    tree.write("src/common/short.cc")
    facts = tree.facts({"src/common/short.cc": "a table", "src/common/gone.cc": "a table"})
    assert ["has 1 lines" in facts[0], "does not exist" in facts[1]] == [True, True]


def test_a_kernel_file_unknown_to_scalar_is_named(tree):
    tree.write("src/kernels/scalar/ternary.cc")
    tree.write("src/kernels/scalar/norm.cc")
    tree.write("src/kernels/avx2/ternary.cc")
    tree.write("src/kernels/avx2/vector.h")
    tree.write("src/kernels/cuda/norm.cu")
    assert tree.facts() == []
    tree.write("src/kernels/neon/fast.cc")
    (fact,) = tree.facts()
    assert fact.startswith("src/kernels/neon/fast.cc:1: kernels/scalar/ has no fast.cc")


def test_the_command_prints_problems_and_exits_1(tree):
    tree.write("src/common/a.h", "#pragma once\n")
    command = [sys.executable, str(ROOT / "tools" / "check_layers.py"), str(tree.root)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert "src/common/a.h:1: the first line is no comment that says the file's purpose" in lines
    assert lines[-1].startswith("1 files checked, ")


def test_an_empty_tree_is_not_a_pass(tree):
    command = [sys.executable, str(ROOT / "tools" / "check_layers.py"), str(tree.root)]
    assert subprocess.run(command, capture_output=True).returncode == 1
