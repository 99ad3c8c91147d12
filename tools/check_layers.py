#!/usr/bin/env python3
"""Does the tree keep its own rules? Includes only downwards, a purpose in every first line, no giant file, kernel folders alike.

check_layers.py [ROOT]: prints one line per broken rule ("PATH:LINE: FACT") and exits 1, or says how much it checked and exits 0.
Standard library only.
"""
import re
import sys
from pathlib import Path

# A component may include itself, what is listed here, and everything below that. "A/B" is a component in a folder of A.
DEPENDS_ON = {
    "common": [],
    "kernels": ["common"],
    "quantization": ["kernels"],
    "models": ["quantization"],
    "models/hub": ["common"],
    "tokenizers": ["common"],
    "inference": ["models", "tokenizers"],
    "cli": ["inference", "models/hub", "server"],
    "server": ["inference", "models/hub"],
    "ffi": ["inference"],
    "py": ["inference"],
    "wasm": ["inference", "ffi"],
}

MAX_LINES = 400
# Files that may be longer, each with the reason.
LONG_FILES = {
    "src/tokenizers/unicode_tables.cc": "tables of the Unicode standard, data rather than code",
}

SOURCE_FOLDERS = ["src", "tests", "benches", "tools", "scripts", "cmake", "examples", ".ci"]
COMMENT_OF = {".cc": "//", ".h": "//", ".cu": "//", ".cuh": "//", ".py": "#", ".cmake": "#", ".sh": "#", ".js": "//"}
KERNEL_SOURCES = {".cc", ".cu"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]*)"')
FIRST_LINE = re.compile(r'^\s*(//+|#+|"""|r""")\s*(?P<text>.*)$')
LICENCE = re.compile(r"copyright|spdx|all rights reserved", re.IGNORECASE)
MIN_PURPOSE_WORDS = 3


def allowed_components(component):
    """The component itself and everything below it."""
    reached, todo = set(), [component]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += DEPENDS_ON[name]
    return reached


def component_of(name):
    """The component that a path below src/ belongs to, or its first folder when that is none."""
    parts = name.split("/")
    nested = "/".join(parts[:2])
    return nested if nested in DEPENDS_ON and len(parts) > 2 else parts[0]


def source_files(root):
    """Our own files: known suffixes, and scripts without a suffix that begin with #!."""
    for folder in SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            if path.suffix in COMMENT_OF or (path.suffix == "" and path.read_bytes()[:2] == b"#!"):
                yield path


def include_problems(root, path, lines):
    """Quoted includes of a file below src/: written from src/, existing, and downwards."""
    component = component_of(path.relative_to(root / "src").as_posix())
    if component not in DEPENDS_ON:
        yield 1, f"'{component}' is not a component; known are {', '.join(DEPENDS_ON)}"
        return
    allowed = allowed_components(component)
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match.group(1)
        head = component_of(target)
        if "/" not in target or head not in DEPENDS_ON:
            yield number, f'"{target}" is not written from src/: "COMPONENT/FILE.h" is the form'
        elif head not in allowed:
            below = ", ".join(sorted(allowed - {component})) or "nothing"
            yield number, f'{component} must not include "{target}": below {component} are {below}'
        elif not (root / "src" / target).is_file():
            yield number, f'"{target}" does not exist below src/'


def first_line_problem(path, lines):
    """What is wrong with the comment that opens a file, or None."""
    at = 1 if lines and lines[0].startswith("#!") else 0
    match = FIRST_LINE.match(lines[at]) if len(lines) > at else None
    marker = COMMENT_OF.get(path.suffix, "#")
    is_docstring = match and match.group(1).endswith('"""') and path.suffix in (".py", "")
    if not match or not (match.group(1).startswith(marker) or is_docstring):
        return at + 1, "the first line is no comment that says the file's purpose"
    text = match.group("text")
    if LICENCE.search(text):
        return at + 1, "the first line is a licence; it should say the file's purpose"
    if len(text.split()) < MIN_PURPOSE_WORDS:
        return at + 1, f"the first line says too little of the file's purpose: '{text.strip()}'"
    return None


def length_problems(line_counts, long_files):
    """Files over the limit that are not excused, and excuses that are not needed."""
    for name, count in line_counts.items():
        if count > MAX_LINES and name not in long_files:
            yield name, count, f"{count} lines, at most {MAX_LINES} are allowed: split it, or list it in LONG_FILES with a reason"
    for name in long_files:
        if line_counts.get(name, 0) <= MAX_LINES:
            found = f"has {line_counts[name]} lines" if name in line_counts else "does not exist"
            yield name, 1, f"listed in LONG_FILES, but it {found}: drop it from the list"


def kernel_folder_problems(root):
    """Every instruction set defines operations in files named as in scalar/; it may leave some out."""
    kernels = root / "src" / "kernels"
    names = {p.stem for p in (kernels / "scalar").glob("*") if p.suffix in KERNEL_SOURCES}
    for folder in sorted(p for p in kernels.glob("*") if p.is_dir() and p.name != "scalar"):
        for path in sorted(p for p in folder.glob("*") if p.suffix in KERNEL_SOURCES and p.stem not in names):
            yield path, 1, f"kernels/scalar/ has no {path.stem}.cc: every operation is defined there first"


def check(root, long_files=LONG_FILES):
    """All broken rules as (path below root, line, fact), and the number of files read."""
    problems, line_counts = [], {}
    for path in source_files(root):
        name = path.relative_to(root).as_posix()
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        line_counts[name] = len(lines)
        if name.startswith("src/") and path.suffix in (".cc", ".h", ".cu", ".cuh"):
            problems += [(name, number, fact) for number, fact in include_problems(root, path, lines)]
        opening = first_line_problem(path, lines)
        if opening:
            problems.append((name, *opening))
    problems += length_problems(line_counts, long_files)
    problems += [(path.relative_to(root).as_posix(), line, fact) for path, line, fact in kernel_folder_problems(root)]
    return problems, len(line_counts)


def main(arguments):
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    problems, files = check(root)
    for name, line, fact in problems:
        print(f"{name}:{line}: {fact}")
    if files == 0:
        print(f"{root}: no source files found")
        return 1
    print(f"{files} files checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
