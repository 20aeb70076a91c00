"""Output: a reader who has gone changes no exit code, and a full disk is an error of its own."""

import subprocess
import sys

import pytest

VERDICT_1 = (
    '{"key": "a", "sent_ns": 0, "received_ns": 1, "status": 200}\n' * 6
    + '{"key": "a", "sent_ns": 2, "received_ns": 3, "status": 503}\n'
)


@pytest.fixture
def check(tmp_path):
    """Run `rateproof check` on a violated log in a shell, with redirections."""
    (tmp_path / "log.jsonl").write_text(VERDICT_1)

    def run(redirection, *options):
        command = f"{sys.executable} -m rateproof check log.jsonl {' '.join(options)} {redirection}"
        return subprocess.run(
            ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("redirection", ["", "| true", "| head -c 1", "2>&- >/dev/null"])
def test_the_exit_code_is_the_verdict_whoever_reads(check, redirection, options):
    done = check(redirection, *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_a_result_that_cannot_be_written_is_73(check, redirection):
    done = check(redirection)
    assert done.returncode == 73
    assert "cannot write the result" in done.stderr
    assert "Traceback" not in done.stderr
