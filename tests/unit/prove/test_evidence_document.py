"""Evidence on its own: judged again by its requests, whatever else stands in the document."""

import io
import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from rateproof import cli
from rateproof.clock import Tolerance
from rateproof.errors import LogError
from rateproof.events import Event, EventLog, read_log
from rateproof.policy import Policy
from rateproof.prove import INCONCLUSIVE, VIOLATED, judge, verify
from rateproof.prove.evidence import Document, to_document
from rateproof.prove.keys import observe

MS = 1_000_000
HISTORIES = Path(__file__).parents[2] / "histories"
VIOLATIONS = sorted(
    path for path in HISTORIES.glob("*.jsonl") if '"verdict":"violated"' in path.read_text()
)
SCHEMA = json.loads(
    resources.files("rateproof.prove.evidence").joinpath("evidence.schema.json").read_text()
)


def six(key=b"client-7", apart_ms=1):
    log = EventLog({"seed": 7, "fresh_keys": True})
    for number in range(6):
        sent_ns = number * apart_ms * MS
        log.append(
            Event(
                key=key,
                sent_ns=sent_ns,
                received_ns=sent_ns + MS,
                status=200,
                outcome="admitted",
                sequence=number,
            )
        )
    return log


FIVE_HUNDRED = Tolerance()


def document_of(log, policy="5 per 5s", piece=0, tolerance=FIVE_HUNDRED):
    verdict = judge(
        log,
        Policy.parse(policy),
        tolerance_ppm=tolerance.ppm,
        granularity_ns=tolerance.granularity_ns,
    )
    return to_document(verdict.evidence[piece], tolerance, log.metadata)


@pytest.mark.parametrize("path", VIOLATIONS, ids=lambda path: path.stem)
def test_every_recorded_violation_is_one_by_its_document_alone(path):
    log = read_log(path)
    for piece in range(len(judge(log, Policy.parse(log.metadata["policy"])).evidence)):
        document = json.loads(json.dumps(document_of(log, log.metadata["policy"], piece)))
        jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
        verdict = verify(Document.read(document))
        assert verdict.outcome == VIOLATED
        assert verdict.evidence[0].sentence() == document["sentence"]


def test_a_document_says_what_it_rests_on_and_where_it_is_from():
    document = document_of(six(), tolerance=Tolerance(100, 2 * MS))
    assert document["format"] == "rateproof-evidence/1"
    assert document["source"] == {"seed": 7}
    assert document["assumptions"][1] == (
        "the rates of the two clocks differ by 100 ppm at most, and the limiter's has steps of 2 ms"
    )
    assert "figures" in document


@pytest.mark.parametrize(
    "tamper",
    [
        lambda d: d["requests"].pop(),
        lambda d: d["requests"][5].update(sent_ns=5_100 * MS, received_ns=5_101 * MS),
        lambda d: d["requests"][5].update(outcome="rejected", status=503),
        lambda d: d["requests"][5].update(outcome="unknown", received_ns=None, status=None),
        lambda d: d.update(policy="6 per 5s"),
        lambda d: d.update(policy="5 per 5ms"),
        lambda d: d.update(claim="wrong-rejection"),
        lambda d: d.update(granularity_ns=6_000 * MS),
    ],
)
def test_requests_that_do_not_show_it_are_found_out_whatever_the_sentence_says(tamper):
    document = document_of(six())
    tamper(document)
    verdict = verify(Document.read(document))
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, ("not-shown",))
    assert "these requests do not show it" in verdict.reasons[0]


def test_figures_and_sentence_play_no_part():
    document = document_of(six())
    for name in ("sentence", "figures", "assumptions", "key", "source", "rateproof"):
        document[name] = "nonsense"
    verdict = verify(Document.read(document))
    assert verdict.outcome == VIOLATED
    assert "6 in less than 5 s" in verdict.evidence[0].sentence()


def counted_denial():
    """Two at 0 s and 1 s, a right denial at 4 s, and one at 8.5 s with only that denial before it."""
    log = EventLog({"fresh_keys": True})
    for number, sent_ms in enumerate((0, 1_000, 4_000, 8_500)):
        sent_ns, denied = sent_ms * MS, number > 1
        log.append(
            Event(
                key=b"client-7",
                sequence=number,
                sent_ns=sent_ns,
                received_ns=sent_ns + MS,
                status=429 if denied else 200,
                outcome="rejected" if denied else "admitted",
            )
        )
    return log


def test_a_denial_that_is_only_counted_needs_no_reason_in_the_document():
    policy = Policy.parse("2 per 5s")
    [piece] = judge(counted_denial(), policy, denied_count=True).evidence
    document = to_document(piece, FIVE_HUNDRED, {}, denied_count=True)
    assert [request["number"] for request in document["requests"]] == [2, 3]
    assert document["without_need"] == [3]
    assert verify(Document.read(document)).evidence[0].sentence() == document["sentence"]
    document["requests"].pop()
    document["without_need"] = []
    assert verify(Document.read(document)).causes == ("not-shown",)


@pytest.mark.parametrize("numbers", [[99], [True], ["0"], [None], "0", None])
def test_numbers_of_requests_that_are_not_there_are_refused(numbers):
    with pytest.raises(LogError, match="without_need is"):
        Document.read({**document_of(six()), "without_need": numbers})


def test_a_document_of_an_earlier_version_is_read_as_it_was_meant():
    document = document_of(six(), "first-hit-window 5 per 5s")
    del document["complete"], document["without_need"]
    assert verify(Document.read(document)).outcome == VIOLATED


def test_evidence_against_windows_opened_by_hits_says_whether_its_requests_must_be_all():
    """Ten in a window can never be right; six can, if they met the end of one and the next."""
    policy = "first-hit-window 5 per 5s"
    six_hits = document_of(six(), policy)
    assert (six_hits["complete"], len(six_hits["requests"])) == (True, 6)
    assert any("these are all its requests" in one for one in six_hits["assumptions"])
    assert verify(Document.read({**six_hits, "complete": False})).causes == ("not-shown",)
    log = six()
    for event in six():
        log.append(replace(event, sequence=event.sequence + 6))
    ten_hits = document_of(log, policy)
    assert (ten_hits["complete"], len(ten_hits["requests"])) == (False, 10)
    assert not any("these are all its requests" in one for one in ten_hits["assumptions"])


def test_a_wrong_rejection_assumes_that_nothing_is_missing():
    log = six()
    assumptions = document_of(read_log(HISTORIES / "denials-counted.jsonl"), "5 per 5s")[
        "assumptions"
    ]
    assert any("the log is complete" in one for one in assumptions)
    assert not any("the log is complete" in one for one in document_of(log)["assumptions"])


def test_a_wrong_rejection_is_not_shown_by_requests_said_to_be_incomplete():
    document = document_of(read_log(HISTORIES / "denials-counted.jsonl"), "5 per 5s")
    assert document["claim"] == "wrong-rejection"
    assert verify(Document.read(document)).outcome == VIOLATED
    verdict = verify(Document.read({**document, "complete": False}))
    assert (verdict.outcome, verdict.causes) == (INCONCLUSIVE, ("not-shown",))
    assert "complete is false" in verdict.reasons[0]
    assert not any("the log is complete" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("claim", ["wrong-rejection", "over-admission"])
def test_what_rests_on_there_being_no_others_is_not_called_minimal(claim):
    """Without one of its requests it may still be violated, though it is something else."""
    log, policy = six(), "first-hit-window 5 per 5s"
    if claim == "wrong-rejection":
        log, policy = read_log(HISTORIES / "denials-counted.jsonl"), "5 per 5s"
    document = document_of(log, policy)
    assert (document["claim"], document["complete"]) == (claim, True)
    assert document["figures"]["minimal"] is False
    assert document_of(six())["figures"]["minimal"] is True


def test_admissions_that_look_like_refusals_are_assumed_to_be_none():
    log = EventLog()
    for event in six():
        log.append(replace(event, status=403 if event.sequence % 2 else 200))
    assumptions = document_of(log)["assumptions"]
    assert "403 is not a rejection" in assumptions
    assert not any("is not a rejection" in one for one in document_of(six())["assumptions"])


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("format",), "rateproof-evidence/2", "format is 'rateproof-evidence/2'"),
        (("claim",), "fraud", "claim is 'fraud'"),
        (("policy",), "nonsense", "'nonsense' is not a policy"),
        (("policy",), None, "policy is None"),
        (("tolerance_ppm",), -1, "tolerance -1 ppm"),
        (("tolerance_ppm",), True, "tolerance_ppm is True"),
        (("granularity_ns",), 0.5, "granularity_ns is 0.5"),
        (("denied_count",), 1, "denied_count is 1"),
        (("key_base64",), "*", "key_base64 is '*'"),
        (("run",), "first", "run is 'first'"),
        (("complete",), "x", "complete is 'x'"),
        (("complete",), None, "complete is None"),
        (("requests",), [], "requests is []"),
        (("requests",), [1], "requests is [1]"),
        (("requests", 2, "sent_ns"), "x", "requests[2].sent_ns is 'x'"),
        (("requests", 2, "sent_ns"), 2**63, "requests[2].sent_ns is"),
        (("requests", 2, "received_ns"), 0, "requests[2].received_ns is 0"),
        (("requests", 2, "received_ns"), None, "requests[2].received_ns is None"),
        (("requests", 2, "status"), 1000, "requests[2].status is 1000"),
        (("requests", 2, "outcome"), "passed", "requests[2].outcome is 'passed'"),
        (("requests", 2, "number"), 1, "requests[2].number 1 is there a second time"),
    ],
)
def test_a_malformed_field_is_named(path, value, named):
    document = document_of(six())
    *way, last = path
    place = document
    for step in way:
        place = place[step]
    place[last] = value
    with pytest.raises(LogError) as caught:
        Document.read(document)
    assert named in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", [*SCHEMA["required"], "requests[1].outcome"])
def test_a_field_that_is_missing_is_named(name):
    document = document_of(six())
    place = document["requests"][1] if "." in name else document
    del place[name.rpartition(".")[2]]
    with pytest.raises(LogError, match="format is None" if name == "format" else "is missing"):
        Document.read(document)


# The drawing


def svg(text):
    return ET.fromstring(text)


def bars(drawing, outcome):
    """The bars of requests: those with a title of their own."""
    return [
        bar
        for bar in drawing.iter("{http://www.w3.org/2000/svg}rect")
        if bar.get("class") == outcome and len(bar)
    ]


def test_a_drawing_has_a_bar_for_each_request_by_outcome():
    log = read_log(HISTORIES / "denials-counted.jsonl")
    (piece,) = judge(log, Policy.parse("5 per 5s")).evidence
    drawing = svg(piece.svg())
    for outcome in ("admitted", "rejected", "unknown"):
        assert len(bars(drawing, outcome)) == sum(e.outcome == outcome for e in piece.events)


def test_bars_and_window_lie_where_the_times_do():
    (piece,) = judge(six(apart_ms=990), Policy.parse("5 per 5s")).evidence
    drawing = svg(piece.svg())
    left = [float(bar.get("x")) for bar in bars(drawing, "admitted")]
    window = drawing.find(".//{http://www.w3.org/2000/svg}rect[@class='window']")
    scale = float(window.get("width")) / 5_000
    assert left[0] == float(window.get("x"))
    for number, x in enumerate(left):
        assert x - left[0] == pytest.approx(990 * number * scale, abs=0.2)
    slack = drawing.find(".//{http://www.w3.org/2000/svg}rect[@class='slack']")
    assert float(slack.get("width")) == pytest.approx(piece.slack_ns / 1e6 * scale, abs=0.2)


@pytest.mark.parametrize("key", [b"</svg><script>alert(1)</script>", b'"&\x00\x1b\xff', b""])
def test_a_key_cannot_break_out_of_a_drawing(key):
    (piece,) = judge(six(key), Policy.parse("5 per 5s")).evidence
    text = piece.svg()
    drawing = svg(text)
    assert not list(drawing.iter("{http://www.w3.org/2000/svg}script"))
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_drawing_of_a_thousand_requests_shows_the_first_and_the_last():
    log = EventLog()
    for number in range(1_001):
        log.append(
            Event(
                key=b"k",
                sent_ns=number * MS,
                received_ns=number * MS + MS,
                status=200,
                outcome="admitted",
                sequence=number + 1,
            )
        )
    (piece,) = judge(log, Policy.parse("1000 per 1h")).evidence
    drawing = svg(piece.svg())
    assert len(bars(drawing, "admitted")) == 100
    texts = ["".join(text.itertext()) for text in drawing.iter()]
    assert "901 more" in texts
    assert {"#1", "#1001"} <= set(texts)
    lines = piece.timeline().splitlines()
    assert len(lines) == 27
    assert "... 977 more ..." in lines[16]


# The command


@pytest.fixture
def violated(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [
        {"key": "</svg>", "sent_ns": i * MS, "received_ns": i * MS + MS, "status": 200}
        for i in range(6)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_check_writes_evidence_that_check_verifies(violated, tmp_path, capsys):
    assert cli.main(["check", str(violated), "--evidence", str(tmp_path / "found")]) == 1
    written = tmp_path / "found" / "evidence-1.json"
    assert sorted(tmp_path.joinpath("found").iterdir()) == [written, written.with_suffix(".svg")]
    svg(written.with_suffix(".svg").read_text())
    capsys.readouterr()
    assert cli.main(["check", str(written)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("VIOLATED: ")
    assert "assuming that all requests count under this key" in said


def test_what_an_earlier_check_left_in_the_folder_is_named(violated, tmp_path, capsys):
    found = tmp_path / "found"
    found.mkdir()
    (found / "evidence-2.json").write_text("{}")
    assert cli.main(["check", str(violated), "--evidence", str(found)]) == 1
    assert "evidence-2.json is of an earlier check" in capsys.readouterr().err


def test_evidence_is_known_by_its_content_whatever_the_form_and_on_standard_input(
    violated, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "one.json"
    assert cli.main(["check", str(violated), "--evidence", str(path)]) == 1
    document = json.loads(path.read_text())
    for text in (
        json.dumps(document),
        json.dumps(document) + "\n",
        json.dumps(document, indent=4, sort_keys=True),
        "\n\n" + json.dumps(document, indent=1),
    ):
        other = tmp_path / "other.jsonl"
        other.write_text(text)
        capsys.readouterr()
        assert cli.main(["check", str(other), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["outcome"] == "violated"
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        assert cli.main(["check", "-"]) == 1


def test_evidence_that_shows_nothing_or_is_malformed_has_its_exit_code(violated, tmp_path, capsys):
    path = tmp_path / "one.json"
    cli.main(["check", str(violated), "--evidence", str(path)])
    document = json.loads(path.read_text())
    document["requests"].pop()
    path.write_text(json.dumps(document, indent=1))
    assert cli.main(["check", str(path)]) == 2
    assert "these requests do not show it" in capsys.readouterr().out
    document["requests"][0]["sent_ns"] = "soon"
    path.write_text(json.dumps(document, indent=1))
    assert cli.main(["check", str(path)]) == 65
    assert f"{path}: requests[0].sent_ns is 'soon'" in capsys.readouterr().err
    path.write_text(json.dumps(document, indent=1)[:100])
    assert cli.main(["check", str(path)]) == 65


def test_evidence_is_judged_by_what_it_says(violated, tmp_path, capsys):
    path = tmp_path / "one.json"
    cli.main(["check", str(violated), "--evidence", str(path)])
    for flags in (
        ["--policy", "9 per 5s"],
        ["--by-key"],
        ["--tolerance", "0ppm"],
        ["--claim", "limit"],
        ["--key", "ip"],
    ):
        assert cli.main(["check", str(path), *flags]) == 64
        assert f"{flags[0]} with {path}" in capsys.readouterr().err


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("more", ["garbage", "{}", "\0"])
def test_nothing_follows_the_evidence(violated, tmp_path, capsys, indent, more):
    path = tmp_path / "one.json"
    cli.main(["check", str(violated), "--evidence", str(path)])
    text = json.dumps(json.loads(path.read_text()), indent=indent) + "\n"
    path.write_text(text + more)
    capsys.readouterr()
    assert cli.main(["check", str(path)]) == 65
    assert capsys.readouterr().out == ""
    path.write_text(text + "\n \n")
    assert cli.main(["check", str(path)]) == 1


def test_evidence_that_cannot_be_written_is_said(violated, capsys):
    assert cli.main(["check", str(violated), "--evidence", str(violated / "x")]) == 73
    assert "cannot write evidence" in capsys.readouterr().err


def test_without_a_violation_there_is_no_evidence_to_write(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    path.write_text('{"key": "a", "sent_ns": 1, "received_ns": 9999, "status": 200}\n')
    assert cli.main(["check", str(path), "--evidence", str(tmp_path / "found")]) == 2
    assert not (tmp_path / "found").exists()
    assert "no evidence to write" in capsys.readouterr().err


def test_what_was_doubted_in_the_log_is_not_believed_in_the_document():
    """The 503 has none of the limiter's marks: it may have been admitted, it was not rejected."""
    log = read_log(HISTORIES / "rejected-after-a-crash.jsonl")
    document = document_of(log, log.metadata["policy"])
    outcomes = [request["outcome"] for request in document["requests"]]
    assert outcomes == ["admitted", "admitted", "unknown", "rejected"]
    (piece,) = verify(Document.read(document)).evidence
    assert piece.sentence() == document["sentence"]


def test_what_was_believed_in_the_log_is_not_doubted_in_the_document():
    """The 503 has a mark, which no document holds; of denied requests, a 429 is there beside it."""
    log = EventLog({"fresh_keys": True})
    for number, (status, retry_after_s) in enumerate(((200, None), (429, None), (503, 1.0))):
        sent_ns = number * MS
        log.append(
            Event(
                key=b"a", sent_ns=sent_ns, received_ns=sent_ns + MS, status=status,
                outcome="admitted" if status == 200 else "rejected", sequence=number,
                retry_after_s=retry_after_s,
            )
        )  # fmt: skip
    assert len(observe(log)[0].rejected) == 2
    (piece,) = judge(log, Policy.parse("7 per 5s"), denied_count=True).evidence
    document = to_document(piece, FIVE_HUNDRED, log.metadata, denied_count=True)
    assert {request["status"] for request in document["requests"]} == {200, 429, 503}
    assert len(observe(Document.read(document).log)[0].rejected) == 2
