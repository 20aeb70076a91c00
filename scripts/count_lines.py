"""Count the lines of source: py, pyi, rs and lua in src and rust, by folder, without tests and fuzz.

Left out of Rust are folders named tests, files named tests.rs or ..._tests.rs and what stands under `#[cfg(test)]` or
`#[cfg(all(test, ...))]`: a block, or the file of a module declared there. Give a commit to count that one.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".pyi", ".rs", ".lua"}
TEST_ONLY = re.compile(rb"^#\[cfg\((?:test|all\(test, .*?\))\)\]\n(?:#\[.*\]\n)*", re.MULTILINE)
MODULE = re.compile(rb"(?:pub(?:\(.*?\))? )?mod (\w+);")


def git(*words: str) -> bytes:
    """Give what git prints."""
    return subprocess.check_output(["git", *words], cwd=ROOT)


def without_tests(source: bytes) -> tuple[bytes, set[str]]:
    """Split a Rust file into what is built without tests and the names of the modules that are not."""
    kept, modules, start = [], set(), 0
    for found in TEST_ONLY.finditer(source):
        if found.start() < start:
            continue
        kept.append(source[start : found.start()])
        if module := MODULE.match(source, found.end()):
            modules.add(module[1].decode())
        line_end = source.index(b"\n", found.end()) + 1
        is_block = source[:line_end].rstrip().endswith((b"{", b"("))
        start = source.index(b"\n}", found.end()) + 3 if is_block else line_end
    return b"".join([*kept, source[start:]]), modules


def main() -> None:
    """Print lines and folder, the largest last, then the sum."""
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    listed = git("ls-tree", "-r", "--name-only", commit, "src", "rust").decode().splitlines()
    paths = [
        path
        for path in map(PurePosixPath, listed)
        if path.suffix in SUFFIXES and not {"fuzz", "tests"} & {*path.parts}
    ]
    sources = {path: git("show", f"{commit}:{path}") for path in paths}
    tests = {path for path in paths if path.name.endswith(("test.rs", "tests.rs"))}
    for path in paths:
        if path.suffix == ".rs":
            sources[path], modules = without_tests(sources[path])
            tests |= {path.parent / f"{name}.rs" for name in modules}
    lines: Counter[str] = Counter()
    for path in paths:
        if path not in tests:
            depth = 3 if path.parts[0] == "src" and len(path.parts) > 3 else 2
            lines["/".join(path.parts[:depth])] += sources[path].count(b"\n")
    for room, count in sorted(lines.items(), key=lambda item: item[1]):
        print(f"{count:7,} {room}")
    print(f"{lines.total():7,} total")


if __name__ == "__main__":
    main()
