"""Commands to Redis: the same words in both forms, keys that no client can choose."""

import re

import pytest

from rateproof.enforce.algorithms import RULES
from rateproof.enforce.stores.redis.command import Command, digest_of, pack
from rateproof.enforce.stores.redis.scripts import script_for
from rateproof.policy import Policy

POLICIES = [
    "5 per 5s",
    "token-bucket 7 per 1s burst 20",
    "5 per 5s; fixed-window 100 per 1h; sliding-counter 1000 per day",
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", ["hit", "peek"])
@pytest.mark.parametrize("cost", [1, 2, 12345])
def test_the_packed_command_is_the_one_in_words(policy, mode, cost):
    command = Command("rateproof", Policy.parse(policy).quotas)
    digest = digest_of(b"client")
    assert command.packed(digest, mode, cost) == pack(*command.words(digest, mode, cost))


def test_a_command_in_the_protocol_of_redis():
    assert pack(b"GET", b"", b"a\r\n") == b"*3\r\n$3\r\nGET\r\n$0\r\n\r\n$3\r\na\r\n\r\n"


def test_a_reply_is_read_to_the_last_figure():
    command = Command("rateproof", Policy.parse("5 per 5s; 7 per 1h").quotas)
    admitted, answers = command.read(b"1 4 0 5000000 6 0 9999999999999999", 1)
    assert admitted
    assert answers == (
        (True, False, 4, 0, 5 * 10**9),
        (True, False, 6, 0, 9999999999999999000),
    )
    admitted, answers = command.read(b"0 5 0 0 0 1 2", 3)
    assert not admitted
    assert answers == ((True, False, 5, 0, 0), (False, False, 0, 1000, 2000))


@pytest.mark.parametrize(
    "reply",
    [
        *(None, 1, [b"1", 4, 0, 5], "1 4 0 5", [], True),
        *(b"", b"OK", b"1", b"1 4 0", b"1 4 0 5 6", b"1 4 0 5 4 0 5", b" 1 4 0 5", b"1 4 0 5\n"),
        *(b"2 4 0 5", b"1 -4 0 5", b"0 4 -1 5", b"1 4 0 1e3", b"1 4 0 inf", b"1 4 0 nan"),
        *(b"1 6 0 5", b"1 4 0 10000000000000000", "1 4 0 \u0665".encode()),
    ],
)
def test_a_reply_of_another_form_or_out_of_range_is_none(reply):
    command = Command("rateproof", Policy.parse("5 per 5s").quotas)
    with pytest.raises(ValueError, match=r"no decision|more left"):
        command.read(reply, 1)


@pytest.mark.parametrize("key", [b"", b"}x", b"{a}", b"\xff" * 2**20])
def test_what_a_cluster_hashes_is_a_digest_of_the_key(key):
    command = Command("rateproof", Policy.parse("5 per 5s; token-bucket 7 per 1s burst 9").quotas)
    keys = command.keys(digest_of(key))
    assert keys[0].endswith(b":sliding-log-5-5000000000")
    assert keys[1].endswith(b":token-bucket-7-1000000000-9")
    tags = {re.fullmatch(rb"rateproof:1:\{([0-9a-f]{32})\}:[a-z0-9-]+", each)[1] for each in keys}
    assert tags == {digest_of(key)}


def test_quotas_that_differ_have_states_of_their_own():
    texts = [
        "5 per 5s",
        "5 per 5000001us",
        "6 per 5s",
        *(f"{name} 5 per 5s" for name in RULES),
    ]
    texts += ["token-bucket 5 per 5s burst 6"]
    keys = {
        key for text in texts for key in Command("p", Policy.parse(text).quotas).keys(b"digest")
    }
    assert len(keys) == len(texts) - 1, "a sliding log is the same by its full name"


def test_there_is_one_script_for_each_set_of_algorithms():
    one = script_for(Policy.parse("5 per 5s").quotas)
    assert script_for(Policy.parse("6 per 7s; 70 per 1m").quotas) is one
    both = script_for(Policy.parse("5 per 5s; fixed-window 5 per 5s").quotas)
    assert script_for(Policy.parse("fixed-window 5 per 5s; 6 per 6s").quotas) is both
    assert one.sha != both.sha
