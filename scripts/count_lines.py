"""Count the lines of source: py, pyi, rs and lua in src and rust, by folder, without tests and fuzz."""

import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ("test.rs", "tests.rs")


def main() -> None:
    """Print lines and folder, the largest last, then the sum."""
    listed = subprocess.check_output(["git", "ls-files", "src", "rust"], cwd=ROOT, text=True)
    lines: Counter[str] = Counter()
    for path in map(Path, listed.splitlines()):
        is_source = path.suffix in {".py", ".pyi", ".rs", ".lua"}
        if is_source and not path.name.endswith(TESTS) and "fuzz" not in path.parts:
            depth = 3 if path.parts[0] == "src" and len(path.parts) > 3 else 2
            lines["/".join(path.parts[:depth])] += (ROOT / path).read_bytes().count(b"\n")
    for room, count in sorted(lines.items(), key=lambda item: item[1]):
        print(f"{count:7,} {room}")
    print(f"{lines.total():7,} total")


if __name__ == "__main__":
    main()
