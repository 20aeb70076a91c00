"""Whatever is in a file, `rateproof check` ends with a verdict or with words, never inside."""

import json
import random
from pathlib import Path

import pytest

from rateproof import cli
from rateproof.clock import Tolerance
from rateproof.events import read_log
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.prove.evidence import to_document

LOG = Path(__file__).parents[1] / "histories" / "flask-limiter-fixed-window.jsonl"
VALUES = (
    None, True, 0, -1, 1, 418, 2**31, 2**61, 2**63, -(2**63), 10**400, 0.1, 1e308, float("nan"),
    float("inf"), "", "x", "\ud800", "9" * 30, [], {}, [1], "5 per 5s",
    "token-bucket 1000000000 per 1ns burst 1",
)  # fmt: skip


def places(data):
    """Every place in nested data: what it lies in, and under which name or number."""
    names = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for name in names:
        yield data, name
        yield from places(data[name])


def mutated(data, rng):
    data = json.loads(json.dumps(data))
    for _ in range(rng.choice((1, 1, 2))):
        where, name = rng.choice(list(places(data)))
        chance = rng.random()
        if chance < 0.15:
            del where[name]
        elif chance < 0.3 and isinstance(where, list):
            where.insert(rng.randrange(len(where) + 1), where[name])
        else:
            where[name] = rng.choice(VALUES)
    return data


def damaged(text, rng):
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return data if rng.random() < 0.9 else data[: rng.randrange(len(data))]


def codes_of(seeds, path, flags):
    log = read_log(LOG)
    evidence = judge(log, Policy.parse("5 per 5s")).evidence[0]
    document = to_document(evidence, Tolerance(), log.metadata)
    rows = [json.loads(line) for line in LOG.read_text().splitlines()]
    codes = set()
    for seed in seeds:
        rng = random.Random(seed)
        if seed % 2:
            text = json.dumps(mutated(document, rng), indent=rng.choice((None, 1)))
        else:
            text = "".join(json.dumps(row) + "\n" for row in mutated(rows, rng))
        path.write_bytes(damaged(text, rng))
        code = cli.main(["check", str(path), *flags])
        assert code in {0, 1, 2, 64, 65}, seed
        codes.add(code)
    return codes


@pytest.mark.parametrize("flags", [[], ["--json"], ["--by-key", "--json"]])
def test_any_file_ends_with_a_verdict_or_with_words(flags, tmp_path, capsys):
    assert {1, 65} <= codes_of(range(60), tmp_path / "any.jsonl", flags)
    assert "internal error" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_files_end_with_a_verdict_or_with_words(part, tmp_path):
    codes_of(
        range(1_000 * (part + 1), 1_000 * (part + 1) + 400), tmp_path / "any.jsonl", ["--json"]
    )
