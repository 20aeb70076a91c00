"""Clients of Redis for Node, Go and Java, as they are, with the service over RESP."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.service import LIMITS, Service

PARTNERS = Path(__file__).parents[2] / ".partners"
NODE = """
import Redis from 'ioredis'
const client = new Redis(Number(process.env.PORT))
console.log(await client.ping())
console.log(String(await client.call('CL.THROTTLE', 'k', 1, 2, 3600)))
const pipe = client.pipeline()
for (let n = 0; n < 6; n++) pipe.call('RP.HIT', 'k', 'api')
console.log(String((await pipe.exec()).map(([error, found]) => found[0])))
await client.call('RP.HIT', 'k', 'nothing').catch((error) => console.log(error.message.slice(0, 21)))
client.disconnect()
"""
GO = """
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Getenv("PORT")})
	fmt.Println(client.Ping(ctx).Val())
	told := client.Do(ctx, "CL.THROTTLE", "k", 1, 2, 3600).Val().([]any)
	fmt.Printf("%v,%v,%v,%v,%v\\n", told...)
	pipe := client.Pipeline()
	for n := 0; n < 6; n++ {
		pipe.Do(ctx, "RP.HIT", "k", "api")
	}
	done, _ := pipe.Exec(ctx)
	for n, each := range done {
		if n > 0 {
			fmt.Print(",")
		}
		fmt.Print(each.(*redis.Cmd).Val().([]any)[0])
	}
	fmt.Println()
	fmt.Println(client.Do(ctx, "RP.HIT", "k", "nothing").Err().Error()[:21])
}
"""
JAVA = """
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Response;
import redis.clients.jedis.commands.ProtocolCommand;

class Client {
    static ProtocolCommand named(String name) {
        return () -> name.getBytes();
    }

    static String joined(Object list) {
        return ((List<?>) list).stream().map(String::valueOf).collect(Collectors.joining(","));
    }

    public static void main(String[] words) {
        try (Jedis client = new Jedis("127.0.0.1", Integer.parseInt(System.getenv("PORT")))) {
            System.out.println(client.ping());
            System.out.println(joined(client.sendCommand(named("CL.THROTTLE"), "k", "1", "2", "3600")));
            var pipe = client.pipelined();
            var found = new ArrayList<Response<Object>>();
            for (int n = 0; n < 6; n++) found.add(pipe.sendCommand(named("RP.HIT"), "k", "api"));
            pipe.sync();
            System.out.println(joined(found.stream().map(each -> ((List<?>) each.get()).get(0)).toList()));
            try {
                client.sendCommand(named("RP.HIT"), "k", "nothing");
            } catch (redis.clients.jedis.exceptions.JedisDataException error) {
                System.out.println(error.getMessage().substring(0, 21));
            }
        }
    }
}
"""
SAID = ["PONG", "0,2,1,-1,1800", "0,0,0,0,0,1", "ERR no limit of that "]


@pytest.mark.parametrize(
    ("folder", "file", "program", "command"),
    [
        (".", "client.mjs", NODE, ["node", "client.mjs"]),
        ("go", "client.go", GO, ["go", "run", "client.go"]),
        (".", "Client.java", JAVA, ["java", "-cp", "jars/*", "Client.java"]),
    ],
    ids=["ioredis", "go-redis", "jedis"],
)
def test_a_client_works_as_it_is(tmp_path, folder, file, program, command):
    service = Service(tmp_path, LIMITS, "--resp", "127.0.0.1:0")
    try:
        (PARTNERS / folder / file).write_text(program)
        environment = os.environ | {"PORT": str(service.resp_port)}
        done = subprocess.run(
            command,
            cwd=PARTNERS / folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
            check=True,
        )
        assert done.stdout.splitlines() == SAID
    finally:
        service.stop()
