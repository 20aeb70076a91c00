"""The server's settings: flags over the environment over a file, and one set of errors for all."""

import pytest

from rateproof.enforce.server import ServerSettings
from rateproof.errors import InvalidArgument
from rateproof.options.declared import VERBS
from rateproof.options.sources import Sources

EVERY = {
    "policy": "7 per 9s; 100/minute",
    "key": "header:X|ip",
    "host": "0.0.0.0",
    "port": "8081",
    "workers": "3",
    "store": "shm://mine",
    "status": "429",
    "on_full": "admit",
    "on_error": "local",
    "capacity": "1000",
    "shadow": "true",
    "exempt": "/a, /b",
    "proxies": "10.0.0.0/8, unix:",
    "proxy_header": "Forwarded",
    "ipv6_prefix": "64",
    "x_ratelimit": "on",
    "metrics": "any",
    "access_log": "yes",
}
BAD = [
    ("policy", "5 per", "a policy reads like"),
    ("key", "body:x", "query:NAME"),
    ("port", "70000", "from 0 to 65535"),
    ("port", "-1", "from 0 to 65535"),
    ("port", "http", "a whole number"),
    ("port", "8_080", "a whole number"),
    ("workers", "0", "from 1 to 256"),
    ("store", "etcd://x", "memory://, shm://NAME or redis://HOST"),
    ("store", "shm://a/b", "A-Z a-z 0-9"),
    ("status", "418", "503 or 429"),
    ("on_full", "maybe", "deny or admit"),
    ("on_error", "maybe", "deny, admit or local"),
    ("capacity", "0", "from 1 to"),
    ("shadow", "perhaps", "true or false"),
    ("exempt", "healthz", "starts with /"),
    ("proxies", "-1", "from 0"),
    ("proxies", "x", "networks, such as 10.0.0.0/8,unix:, or a whole number from 0 to 1000"),
    ("proxies", "10.0.0.1/8", "10.0.0.0/8"),
    ("ipv6_prefix", "129", "1 to 128"),
    ("metrics", "all", "loopback, any or off"),
    ("access_log", "2", "true or false"),
]


class Settings:
    """The server's settings from its sources."""

    def __init__(self, flags, environment):
        self.sources = Sources(VERBS["serve"], flags, environment)

    def read(self):
        return ServerSettings.told(**self.sources.read(ServerSettings.check))


def written(folder, text):
    file = folder / "server.toml"
    file.write_text(text)
    return file


def from_flags(values, _):
    return Settings(values, {})


def from_the_environment(values, _):
    return Settings({}, {f"RATEPROOF_{name.upper()}": text for name, text in values.items()})


def from_a_file(values, folder):
    lines = "".join(f"{name} = {text!r}\n" for name, text in values.items())
    return Settings({"config": str(written(folder, lines))}, {})


SOURCES = [
    (from_flags, "--{}"),
    (from_the_environment, "RATEPROOF_{}"),
    (from_a_file, "line 1: {}: "),
]


def named(form, name):
    shown = {"-": name.replace("_", "-"), "R": name.upper(), "l": name}[form[0]]
    return form.format(shown)


@pytest.mark.parametrize("source", [source for source, _ in SOURCES])
def test_every_setting_reads_the_same_from_every_source(source, tmp_path):
    settings = source(EVERY, tmp_path).read()
    assert settings == from_flags(EVERY, None).read()
    assert set(settings.differences(ServerSettings.told())) == set(EVERY)
    assert settings.exempt == ("/a", "/b")
    assert settings.proxies == ("10.0.0.0/8", "unix:")
    assert (settings.port, settings.shadow, settings.access_log) == (8081, True, True)


@pytest.mark.parametrize(("source", "form"), SOURCES)
@pytest.mark.parametrize(("name", "text", "hint"), BAD)
def test_a_bad_value_is_named_with_its_source_and_the_accepted_form(
    source, form, name, text, hint, tmp_path
):
    with pytest.raises(InvalidArgument) as refused:
        source({name: text}, tmp_path).read()
    assert named(form, name) in refused.value.message
    assert text in refused.value.message
    assert hint in str(refused.value)


@pytest.mark.parametrize(("source", "form"), SOURCES)
def test_a_bad_option_of_a_store_is_named_with_its_source_and_no_password(source, form, tmp_path):
    with pytest.raises(InvalidArgument, match="'abc' is not a duration") as refused:
        source({"store": "redis://:secret@h?timeout=abc"}, tmp_path).read()
    assert named(form, "store") in refused.value.message
    assert "secret" not in str(refused.value)


def test_variables_that_look_like_settings_and_are_none_are_named_with_the_accepted_ones():
    known = {f"RATEPROOF_{name.upper()}": text for name, text in EVERY.items()}
    known |= {"RATEPROOF_CORE": "native", "RATEPROOF_CONFIG": "", "OTHER": "1"}
    assert Settings({}, known).sources.warning is None
    strange = known | {"RATEPROOF_PROT": "1", "RATEPROOF_port": "2"}
    warning = Settings({}, strange).sources.warning
    assert warning.startswith("WARNING: RATEPROOF_PROT, RATEPROOF_port in the environment")
    assert all(name.upper() in warning for name in (*EVERY, "config", "core"))


@pytest.mark.parametrize("name", ["exempt", "proxies", "policy"])
def test_an_item_of_a_list_that_would_become_two_is_refused(name, tmp_path):
    file = written(tmp_path, f"{name} = ['/a,/b', '/c']\n")
    with pytest.raises(InvalidArgument, match=rf"line 1: {name}: '/a,/b' has a comma"):
        Settings({"config": str(file)}, {}).read()


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = written(tmp_path, "port = 1\nworkers = 2\nstatus = 429\nhost = 'localhost'\n")
    environment = {"RATEPROOF_CONFIG": str(file), "RATEPROOF_PORT": "3", "RATEPROOF_WORKERS": "4"}
    settings = Settings({"port": "5"}, environment).read()
    assert (settings.port, settings.workers, settings.status) == (5, 4, 429)
    assert settings.host == "localhost"
    assert settings.policy == ServerSettings.told().policy


def test_a_switch_can_be_turned_off_by_a_stronger_source(tmp_path):
    file = written(tmp_path, "shadow = true\naccess_log = true\n")
    sources = Settings({"config": str(file), "shadow": "False"}, {"RATEPROOF_ACCESS_LOG": "off"})
    assert not sources.read().shadow
    assert not sources.read().access_log


def test_the_flag_names_the_file_before_the_environment_does(tmp_path):
    file = written(tmp_path, "port = 1\n")
    sources = Settings({"config": str(file)}, {"RATEPROOF_CONFIG": "/nowhere.toml"})
    assert sources.sources.file == file
    assert sources.read().port == 1


def test_an_empty_variable_is_not_set():
    settings = Settings({}, {"RATEPROOF_PORT": "", "RATEPROOF_CONFIG": ""}).read()
    assert settings == ServerSettings.told()


def test_a_host_that_is_empty_is_refused_where_it_was_written(tmp_path):
    for source in (from_flags, from_a_file):
        with pytest.raises(InvalidArgument, match="an empty host"):
            source({"host": ""}, tmp_path).read()


def test_toml_values_may_have_their_own_types(tmp_path):
    text = "port = 0\nshadow = false\nproxies = 2\nexempt = ['/a', '/b']\npolicy = ['5 per 5s', '9 per 1m']\n"
    settings = Settings({"config": str(written(tmp_path, text))}, {}).read()
    assert (settings.port, settings.shadow, settings.proxies) == (0, False, 2)
    assert settings.exempt == ("/a", "/b")
    assert str(settings.policy) == "5 per 5s; 9 per 1m"


@pytest.mark.parametrize("text", ["port = 1.5", "port = 1979-05-27", "[port]\na = 1", "port = [1]"])
def test_a_toml_value_of_another_type_is_named_with_file_line_and_form(text, tmp_path):
    file = written(tmp_path, f"host = 'localhost'\n{text}\n")
    with pytest.raises(InvalidArgument) as refused:
        Settings({"config": str(file)}, {}).read()
    said = refused.value.message
    assert str(file) in said
    assert "line 2: port: " in said
    assert "not a whole number from 0 to 65535" in said


@pytest.mark.parametrize(
    ("text", "hint"),
    [("policy = '5 per'", None), ("colour = 1", "docs/reference/serve.md lists them")],
)
def test_the_page_that_lists_the_settings_is_named_for_a_name_only(text, hint, tmp_path):
    with pytest.raises(InvalidArgument) as refused:
        Settings({"config": str(written(tmp_path, text))}, {}).read()
    assert refused.value.hint == hint


def test_every_mistake_in_the_file_is_named_at_once(tmp_path):
    file = written(tmp_path, "prot = 1\nport = 1\n\ncolour = 'red'\njson = true\nworkers = 0\n")
    with pytest.raises(InvalidArgument) as refused:
        Settings({"config": str(file)}, {}).read()
    assert [line.partition(" (")[0] for line in refused.value.message.splitlines()[1:]] == [
        "  line 1: prot: unknown key",
        "  line 4: colour: unknown key",
        "  line 5: json: unknown key",
        "  line 6: workers: 0 is out of range",
    ]
    assert "did you mean port?" in refused.value.message
    assert str(file) in refused.value.message


def test_what_a_stronger_source_tells_does_not_matter_in_the_file(tmp_path):
    file = written(tmp_path, "port = 'none'\n")
    assert Settings({"config": str(file), "port": "5"}, {}).read().port == 5


@pytest.mark.parametrize("text", ["port 1", "port =\n", "\x00"])
def test_a_file_that_is_not_toml_is_named_with_the_line(text, tmp_path):
    with pytest.raises(InvalidArgument, match=r"server\.toml' is not TOML: .*line"):
        Settings({"config": str(written(tmp_path, text))}, {}).read()


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "server.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match=r"server\.toml' is not UTF-8"):
        Settings({"config": str(tmp_path / "server.toml")}, {}).read()


@pytest.mark.parametrize("path", ["/nowhere/server.toml", "/"])
def test_a_file_that_cannot_be_read_is_named(path):
    with pytest.raises(InvalidArgument, match=f"cannot read settings '{path}'") as refused:
        Settings({}, {"RATEPROOF_CONFIG": path}).read()
    assert refused.value.hint == "name a TOML file that can be read"


def test_the_file_is_read_anew_and_flags_stay(tmp_path):
    file = written(tmp_path, "policy = '5 per 5s'\nport = 1\n")
    sources = Settings({"config": str(file), "port": "2"}, {})
    assert str(sources.read().policy) == "5 per 5s"
    file.write_text("policy = '3 per 5s'\nport = 3\n")
    assert str(sources.read().policy) == "3 per 5s"
    assert sources.read().port == 2
