"""A value told by a file or the environment is sent, and shown as it was told."""

from pathlib import Path

import pytest

from rateproof.errors import InvalidArgument
from rateproof.options.declared import REQUEST, VERBS
from rateproof.options.kinds import Option
from rateproof.secret import Secret, revealed
from rateproof.simulate.request import shown_header
from rateproof.simulate.target import Target


def option(name: str) -> Option:
    (found,) = (each for each in VERBS["test"].groups[REQUEST] if each.name == name)
    return found


def test_a_value_is_the_text_of_a_file_or_variable_less_its_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfs3cret\r\n")
    monkeypatch.setenv("TOKEN", "s3cret")
    assert revealed(f"@{tmp_path / 't'}") == revealed("@env:TOKEN") == "s3cret"
    assert revealed("@@at") == "@at"
    assert revealed("plain@") == "plain@"


@pytest.mark.parametrize("form", ["@env:NO_SUCH", "@/no/such", "@a\0b", "@"])
def test_a_form_that_tells_nothing_is_refused_by_name(form: str) -> None:
    with pytest.raises(InvalidArgument, match=r"no such variable|cannot read"):
        revealed(form)


def test_a_secret_is_shown_as_its_form() -> None:
    secret = Secret("s3cret", "@env:TOKEN")
    assert repr([secret]) == "[@env:TOKEN]"
    assert shown_header("Accept", secret) == "@env:TOKEN"
    assert f"Bearer {secret}" == "Bearer s3cret"


@pytest.mark.parametrize(
    ("name", "told", "value"),
    [
        ("header", ["X-A: @env:TOKEN"], (("X-A", "s3cret"),)),
        ("header", ["X-A: @@b"], (("X-A", "@b"),)),
        ("header", ["@FILE", "X-B: 2"], (("A", "s3cret"), ("C", "x:y"), ("X-B", "2"))),
        ("query", ["key=@env:TOKEN", "page=2"], (("key", "s3cret"), ("page", "2"))),
    ],
)
def test_what_is_told_is_told_again_by_the_same_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    told: list[str],
    value: tuple[tuple[str, str], ...],
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    (tmp_path / "FILE").write_bytes(b"A: s3cret\r\n\r\nC:  x:y\r\n")
    monkeypatch.chdir(tmp_path)
    read = option(name).read_text(told, "here")
    assert read == value
    flag = f"--{name}"
    assert option(name).words(read, {option(name).inside: ()}) == [
        word for each in told for word in (flag, each)
    ]


def test_a_body_is_told_again_by_the_same_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODY", '{"password": "s3cret"}')
    data = option("data").read_text("@env:BODY", "here")
    assert data.body == b'{"password": "s3cret"}'
    assert option("data").words(data, {"data": None}) == ["--data", "@env:BODY"]


def test_a_line_that_is_no_header_is_named_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "FILE").write_text("A: b\ns3cret\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgument, match="line 2 of '@FILE'") as caught:
        option("header").read_text(["@FILE"], "here")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidArgument) as caught:
        option("header").read_text(["s3cret"], "here")
    assert "s3cret" not in str(caught.value)


def test_parameters_of_the_query_are_sent_and_not_shown() -> None:
    target = Target.parse("http://h/a?b=1").asking((("key", "s3 cret"),))
    assert target.secret_url == "http://h/a?b=1&key=s3+cret"
    assert "s3" not in f"{target} {target!r} {target.url} {target.path}"
