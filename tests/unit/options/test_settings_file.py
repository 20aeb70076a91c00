"""The settings file: where it is found, what wins over what, and every mistake with its line."""

import json
import os
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from rateproof import hunt
from rateproof.enforce.server import ServerSettings
from rateproof.errors import InvalidArgument
from rateproof.hunt.commands import repeat_command
from rateproof.hunt.recipe import Recipe
from rateproof.options.arguments import parse
from rateproof.options.declared import VERBS
from rateproof.options.settings_file import find_settings, read_limit
from rateproof.options.sources import Sources
from rateproof.simulate.behaviours.schedule import Schedule

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/settings-file.md").read_text()
EXAMPLE = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
SHOP = """
[limits.login]
policy = "5 per 2s"
key = "header:X-Api-Key|ip"
exempt = ["/health", "/"]
shadow = true

[limits.search]
policy = "20 per 2s; 100 per 1m"

[serve]
limit = "login"
port = 8081

[test]
url = "http://127.0.0.1:8765/api"
method = "PUT"
fail_fast = true
iterations = 7
max_rate = 0.5
rejected = [403, 429]
headers = { Accept = "a", X-One = "1" }

[[test.endpoints]]
url = "/login"
limit = "login"
method = "POST"

[[test.endpoints]]
name = "found"
url = "http://127.0.0.1:9000/search"
limit = "search"
key = "query:user"
headers = { accept = "b" }

[probe]
url = "http://127.0.0.1:8765"
max_requests = 50
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a settings file, where the commands are given."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="rateproof.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path

    return write


def hunts(*words):
    return [hunt.TestSettings.of(run) for run in parse(["test", *words]).runs]


def served(*words, environment=None):
    sources = parse(["serve", *words], None, environment).sources
    return ServerSettings.told(**sources.read(ServerSettings.check))


def refused(*words, verb="test"):
    with pytest.raises(InvalidArgument) as error:
        served(*words) if verb == "serve" else parse([verb, *words])
    return error.value


# ------------------------------------------------------------- which file


def test_the_nearest_file_of_the_repository_is_found(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "rateproof.toml").touch()
    assert find_settings(deep) is None, "what lies outside of a repository may be anybody's"
    (tmp_path / ".git").mkdir()
    assert find_settings(deep) == tmp_path / "rateproof.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.rateproof]\n")
    assert find_settings(deep) == tmp_path / "a" / "pyproject.toml"
    (tmp_path / "a" / ".git").touch()  # a worktree: above it nothing is read
    (tmp_path / "a" / "pyproject.toml").unlink()
    assert find_settings(deep) is None


def test_a_folder_of_another_owner_is_not_looked_into(tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "rateproof.toml").write_text("[test]\nstart = 'anything'\n")
    assert find_settings(mine) == tmp_path / "rateproof.toml"
    monkeypatch.setattr("rateproof.options.settings_file._owner", lambda each: len(each.parts))
    assert find_settings(mine) is None
    assert find_settings(tmp_path) == tmp_path / "rateproof.toml"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("[tool.rateproof]", True),
        ("[tool.rateproof.test]\nmethod = 'POST'", True),
        ("[tool.ruff]", False),
        ("[project]\ndependencies = ['rateproof']", False),
        ("tool = 1 # rateproof", False),
        ("broken", False),
        ("[tool.rateproof]\nbroken", True),
    ],
)
def test_a_pyproject_counts_if_it_has_the_table(text, counts, tmp_path):
    (tmp_path / "pyproject.toml").write_text(text)
    assert (find_settings(tmp_path) is not None) is counts
    (tmp_path / "rateproof.toml").touch()
    assert find_settings(tmp_path) == tmp_path / "rateproof.toml"


@pytest.mark.parametrize("name", ["rateproof.toml", "pyproject.toml"])
def test_a_folder_of_that_name_or_an_unreadable_file_is_no_reason_to_stop(name, tmp_path):
    (tmp_path / name).mkdir()
    assert find_settings(tmp_path) is None


def test_a_line_says_which_file_is_read(project):
    project("[tool.rateproof.test]\nmethod = 'POST'", "pyproject.toml")
    assert parse(["test"]).notice == "settings  pyproject.toml, [tool.rateproof]"
    project("")
    assert parse(["probe"]).notice == "settings  rateproof.toml"
    assert parse(["test", "--config", "pyproject.toml"]).method == "POST"
    assert parse(["test", "--config", os.devnull]).notice is None


def test_a_pyproject_that_is_named_must_have_the_table(project):
    project("[tool.ruff]", "pyproject.toml")
    assert "has no table [tool.rateproof]" in refused("--config", "pyproject.toml").message


def test_where_this_folder_is_gone_nothing_is_read(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert parse(["test"]).notice is None


def test_files_in_it_start_from_its_folder(project, monkeypatch):
    folder = project(
        "[test]\nout = 'build'\nca_file = 'ca.pem'\njunit = '/tmp/j.xml'\nbody = '@body.json'\n"
    )
    (folder / "body.json").write_text("{}")
    (folder / ".git").mkdir()
    (folder / "src").mkdir()
    monkeypatch.chdir(folder / "src")
    found = parse(["test"])
    assert (found.out, found.junit) == (Path("../build"), Path("/tmp/j.xml"))
    assert found.ca_file == "../ca.pem"
    assert found.data.body == b"{}"


def test_secrets_are_read_from_the_folder_of_the_file_for_what_is_tested(project, monkeypatch):
    folder = project(
        "[test]\nkeys = 'keys.txt'\nheaders = { X-One = '@one', X-Two = '@env:TWO' }\niterations = 1\n"
        "[[test.endpoints]]\nurl = '/a'\nquery = { token = '@one' }\n"
        "[[test.endpoints]]\nurl = '/b'\nheaders = { X-Three = '@env:THREE' }\nbody = '@nowhere'\n"
    )
    (folder / "one").write_text("first\n")
    (folder / "keys.txt").write_text("k1\nk2\n")
    (folder / ".git").mkdir()
    (folder / "src").mkdir()
    monkeypatch.chdir(folder / "src")
    monkeypatch.setenv("TWO", "second")
    (found,) = hunts("--endpoint", "a")
    assert found.headers == (("X-One", "first"), ("X-Two", "second"))
    assert found.keys is not None
    assert "first" not in repr(found.headers)
    assert repeat_command(found, None)[2:4] == ["--endpoint", "a"]
    error = refused()
    assert [line.partition(": ")[2][:40] for line in error.message.splitlines()[1:]] == [
        "test.endpoints[1].headers.X-Three: '@env",
        "test.endpoints[1].body: cannot read '../",
    ]


# ------------------------------------------------------------- which value


def test_each_endpoint_has_its_own_over_its_limit_over_the_table_of_the_test(project):
    project(SHOP)
    login, found = hunts()
    assert (login.endpoint, found.endpoint) == ("login", "found")
    assert login.target.url == "http://127.0.0.1:8765/api/login"
    assert found.target.url == "http://127.0.0.1:9000/search"
    assert (str(login.policy), str(login.key)) == ("5 per 2s", "header:X-Api-Key|ip")
    assert (str(found.policy), str(found.key)) == ("20 per 2s; 100 per 1m", "query:user")
    assert (login.method, found.method) == ("POST", "PUT")
    assert found.headers == (("X-One", "1"), ("accept", "b"))
    assert (login.fail_fast, login.iterations, login.max_rate) == (True, 7, 0.5)
    assert login.rejected_statuses == {403, 429}


def test_flags_win_over_the_file(project):
    project(SHOP)
    words = ("--no-fail-fast", "--method", "GET", "--policy", "1/s", "-H", "X-One: 2")
    for each in hunts(*words):
        assert (each.fail_fast, each.method, str(each.policy)) == (False, "GET", "1 per 1s")
        assert ("X-One", "2") in each.headers
        assert ("X-One", "1") not in each.headers
    (found,) = hunts("--endpoint", "found", "--limit", "login")
    assert (str(found.policy), str(found.key)) == ("5 per 2s", "header:X-Api-Key|ip")


def test_a_url_is_tested_alone_and_beside_endpoints_replaces_that_of_the_table(project):
    project(SHOP)
    (alone,) = hunts("http://127.0.0.1:1/x", "--limit", "search")
    assert (alone.endpoint, alone.target.url) == (None, "http://127.0.0.1:1/x")
    assert (str(alone.policy), alone.method) == ("20 per 2s; 100 per 1m", "PUT")
    urls = [
        each.target.url
        for each in hunts("http://127.0.0.1:2", "--endpoint", "login", "--endpoint", "found")
    ]
    assert urls == ["http://127.0.0.1:2/login", "http://127.0.0.1:9000/search"]


def test_where_a_url_is_told_no_server_of_the_file_is_started(project):
    project(
        "[test]\nstart = 'a'\nnemesis = 'all'\n[[test.endpoints]]\nurl = '/'\nduration = '1s'\n"
    )
    for words in (["http://127.0.0.1:1"], ["http://127.0.0.1:1", "--endpoint", "root"]):
        (found,) = hunts(*words)
        assert (found.start, found.nemesis) == (None, ())
    (found,) = hunts()
    assert (found.start, bool(found.nemesis)) == ("a", True)
    assert hunts("http://127.0.0.1:1", "--start", "b")[0].start == "b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[test]\nurl = 'http://127.0.0.1:1'\nstart = 'a'\nnemesis = 'all'\n", ()),
        (SHOP, ("--endpoint", "login")),
        (SHOP, ("--endpoint", "found", "--method", "GET", "--no-fail-fast", "--policy", "9/s")),
        (SHOP, ("http://127.0.0.1:2", "--endpoint", "login", "-H", "Accept: c", "--max-rate", "7")),
        (SHOP, ("http://127.0.0.1:3/x?y=1", "--limit", "search", "--rejected", "429,503")),
        (SHOP, ("--endpoint", "login", "--config", "rateproof.toml", "--iterations", "3")),
    ],
)
def test_the_command_that_repeats_it_has_the_same_settings_from_the_same_file(project, text, words):
    project(text)
    (before,) = hunts(*words)
    recipe = Recipe(Schedule(((0, 6),)))
    (after,) = hunts(*repeat_command(before, recipe)[2:])
    assert (after.recipe, after.iterations) == (recipe, 1)
    seen = {"recipe", "iterations", "seed", "known", "fail_fast", "nemesis"}
    for name in vars(before).keys() - seen:
        assert getattr(after, name) == getattr(before, name), name
    assert after.nemesis == ()


def test_the_server_enforces_the_limit_that_is_named(project):
    project(SHOP)
    found = served()
    assert (str(found.policy), str(found.key), found.port) == (
        "5 per 2s",
        "header:X-Api-Key|ip",
        8081,
    )
    assert (found.exempt, found.shadow) == (("/health", "/"), True)
    told = {"RATEPROOF_LIMIT": "search", "RATEPROOF_PORT": "8082"}
    found = served("--port", "8083", environment=told)
    assert (str(found.policy), found.port, found.shadow) == ("20 per 2s; 100 per 1m", 8083, False)
    assert str(found.key) == str(ServerSettings.told().key)
    assert str(served("--policy", "1/s", "--limit", "login").policy) == "1 per 1s"


def test_the_only_limit_need_not_be_named_and_of_several_one_must(project):
    project("[limits.one]\npolicy = '7/s'\nkey = 'header:A'\n")
    (found,) = hunts("http://127.0.0.1:1")
    assert (str(found.policy), str(found.key)) == ("7 per 1s", "header:A")
    assert str(served().policy) == "7 per 1s"
    assert str(hunts("--policy", "8/s")[0].policy) == "8 per 1s"
    project("[limits.one]\npolicy = '7/s'\n[limits.two]\npolicy = '9/s'\n")
    error = refused()
    assert "has several limits: one, two" in error.message
    assert "--limit NAME" in error.hint
    assert "several limits" in refused(verb="serve").message
    assert str(hunts("--policy", "8/s")[0].policy) == "8 per 1s"


def test_a_cost_makes_of_units_the_requests_that_are_let_through(project):
    project("[limits.dear]\npolicy = 'token-bucket 10 per 5s burst 20; 100 per 1m'\ncost = 5\n")
    counted = "token-bucket 2 per 5s burst 4; 20 per 1m"
    assert str(hunts()[0].policy) == str(served().policy) == counted
    project("[limits.dear]\npolicy = '10 per 5s'\ncost = 3\n")
    assert "line 3: limits.dear.cost: 3 does not divide 10" in refused().message


def test_the_probe_has_its_table(project):
    project(SHOP)
    found = parse(["probe", "--max-time", "5s"])
    assert (found.url, found.max_requests) == ("http://127.0.0.1:8765", 50)


def test_a_flat_file_is_one_of_the_server_alone(project):
    project("port = 8085\npolicy = '9/s'\n")
    assert (served().port, str(served().policy)) == (8085, "9 per 1s")
    assert "line 1: port: unknown key" in refused().message
    project("")
    assert served() == ServerSettings.told()


def test_a_value_may_be_the_text_of_the_command_line(project):
    project("[test]\nfail_fast = 'yes'\nrejected = '403,429'\niterations = '3'\nshrink = 'no'\n")
    found = parse(["test"])
    assert (found.fail_fast, found.iterations, found.shrink) == (True, 3, False)
    assert found.rejected_statuses == {403, 429}
    assert parse(["test", "--shrink"]).shrink is True
    project("[test]\nshrink = true\n")
    assert parse(["test"]).shrink is True
    assert parse(["test", "--no-shrink"]).shrink is False


def test_an_endpoint_is_named_by_its_limit_or_its_path(project):
    project("[test]\n" + "".join(f"[[test.endpoints]]\nurl = '{url}'\n" for url in ("/", "/a/b?c")))
    assert [each.endpoint for each in hunts("--iterations", "1")] == ["root", "a-b"]


def test_an_application_reads_the_same_limit(project):
    project(SHOP)
    found = read_limit("login")
    assert (str(found.policy), str(found.key)) == ("5 per 2s", "header:X-Api-Key|ip")
    assert (found.exempt, found.shadow, found.cost) == (("/health", "/"), True, 1)
    project("[limits.dear]\npolicy = '10/s'\ncost = 5\n[test]\nmethod = 'not mine to judge'\n")
    dear = read_limit("dear", "rateproof.toml")
    assert (str(dear.policy), dear.cost, dear.shadow) == ("10 per 1s", 5, False)
    with pytest.raises(InvalidArgument, match=r"no limit 'login' in rateproof\.toml"):
        read_limit("login", "rateproof.toml")


def test_the_application_of_the_page_keeps_what_the_file_says(project):
    project(EXAMPLE)
    text = next(
        each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Flask" in each
    )
    names = {"__name__": "shop"}
    exec(text.replace("shm://shop", "memory://"), names)
    client = names["app"].test_client()
    statuses = [client.post("/login", headers={"X-Api-Key": "a"}).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


# ------------------------------------------------------------- mistakes


def test_every_mistake_is_named_at_once_with_its_line(project):
    project(
        "[limits.login]\npolcy = '5/s'\n"
        "[limits.'a b']\npolicy = '5/s'\n"
        "[tset]\n[serve]\nport = 'mine'\n"
        "[test]\nduraton = '1m'\nlimit = 'lgoin'\n"
        "[[test.endpoints]]\nurl = 'login'\niterations = 0\n"
    )
    error = refused()
    assert error.message.splitlines() == [
        "settings 'rateproof.toml' has 8 errors",
        "  line 1: limits.login.policy: is missing (such as '5 per 5s' or '5/s; 1000 per hour')",
        "  line 2: limits.login.polcy: unknown key (did you mean policy?)",
        (
            "  line 3: limits.'a b': 'a b' is not a name (letters, digits, dots, hyphens and underscores, "
            "at most 64)"
        ),
        "  line 5: tset: unknown key (did you mean test?)",
        "  line 9: test.duraton: unknown key (did you mean duration?)",
        "  line 10: test.limit: 'lgoin' is not a name in [limits] (did you mean login?)",
        (
            "  line 12: test.endpoints[0].url: 'login' is neither a URL nor a path "
            "(http://HOST[:PORT][/PATH], or https, or /PATH)"
        ),
        (
            "  line 13: test.endpoints[0].iterations: 0 is out of range (a whole number from 1 to "
            "1000000000)"
        ),
    ]


def test_a_mistake_in_a_pyproject_is_named_with_its_whole_path(project):
    project("[tool.rateproof.test]\nmethod = 'post'", "pyproject.toml")
    assert "line 2: tool.rateproof.test.method: 'post' is not a method" in refused().message


def test_the_server_judges_limits_by_its_own_rules(project):
    project("[limits.login]\npolicy = '5/s'\nexempt = 'health'\n")
    assert "line 3: limits.login.exempt: exempt path 'health'" in refused(verb="serve").message


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--endpoint", "logn"), "no endpoint 'logn' in rateproof.toml", "did you mean login?"),
        (("--limit", "xyz"), "no limit 'xyz' in rateproof.toml", "one of login, search"),
    ],
)
def test_a_name_that_the_file_has_not_is_refused(project, words, message, hint):
    project(SHOP)
    error = refused(*words)
    assert (error.message, error.hint) == (message, hint)


@pytest.mark.parametrize("flag", ["--endpoint", "--limit"])
def test_a_name_without_a_file_is_refused(tmp_path, monkeypatch, flag):
    monkeypatch.chdir(tmp_path)
    assert "there is no settings file" in refused(flag, "login").message


def test_two_endpoints_of_one_name_are_refused(project):
    project("[test]\n" + "[[test.endpoints]]\nurl = '/a'\n" * 2)
    assert "line 2: test.endpoints[0]: 2 are called 'a' (give each a name)" in refused().message


def test_a_key_that_no_client_can_write_is_refused_with_the_endpoint(project):
    project("[limits.a]\npolicy = '5/s'\nkey = 'ip'\n[[test.endpoints]]\nurl = '/'\nlimit = 'a'\n")
    (settings,) = hunts()
    with pytest.raises(InvalidArgument, match="key 'ip' has no place for an identity"):
        _ = settings.key.writable


# ------------------------------------------------------------- schema and page


def test_the_schema_accepts_what_the_page_and_the_tests_have_and_no_unknown_key():
    schema = json.loads((files("rateproof.options") / "settings.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for text in (SHOP, EXAMPLE):
        assert not [*validator.iter_errors(tomllib.loads(text))]
    for text in (
        "[serve]\nport = '8081'\nshadow = 'yes'\nproxies = 1",
        "[test]\nseed = '5'\nrejected = '429,503'",
        "[test]\nmax_rate = 10\nrejected = [429, 503]",
    ):
        assert not [*validator.iter_errors(tomllib.loads(text))], text
    for text in (
        "[serve]\nport = 'x'",
        "[serve]\nshadow = 'maybe'",
        "[test]\nduraton = '1m'",
        "[limits.a]\nkey = 'ip'",
        "[tset]",
        "[serve]\nport = 70000",
        "[serve]\nstatus = 418",
        "[[test.endpoints]]\nlimit = 'a'",
    ):
        assert [*validator.iter_errors(tomllib.loads(text))], text


def test_every_option_of_a_file_is_in_the_schema():
    schema = json.loads((files("rateproof.options") / "settings.schema.json").read_text())
    for verb in VERBS.values():
        if verb.config:
            names = {each.in_file for each in filter(verb.filed, verb.options)}
            assert names <= schema["properties"][verb.name]["properties"].keys()


def test_the_example_of_the_page_is_read_as_the_page_says(project):
    project(EXAMPLE)
    login, search = hunts()
    assert (login.endpoint, search.endpoint) == ("login", "search")
    assert (login.start, login.method) == ("gunicorn --bind {host}:{port} shop:app", "POST")
    assert login.out == Path("build/rateproof")


def test_sources_without_a_file_of_a_verb_that_reads_none_have_none(project):
    project(SHOP)
    assert Sources(VERBS["simulate"], {}).file is None


@pytest.mark.parametrize(("verb", "said"), [("test", True), ("serve", False)])
def test_a_limit_in_shadow_mode_is_named_where_it_is_tested(tmp_path, capsys, verb, said):
    path = tmp_path / "rateproof.toml"
    path.write_text('[limits.login]\npolicy = "5 per 5s"\nshadow = true\n')
    parse([verb, "--config", str(path), *(["http://127.0.0.1:1/"] if verb != "serve" else [])])
    assert ("limit 'login'" in capsys.readouterr().err) == said
