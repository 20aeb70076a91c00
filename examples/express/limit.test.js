const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const test = require("node:test");

const COMMAND = `rateproof test http://127.0.0.1:8080/search --key header:X-Api-Key
  --iterations 3 --fail-fast --worst-time 0 --out build --start`;

test("no client gets more than 5 in 5 s", () => {
  const [rateproof, ...words] = COMMAND.split(/\s+/);
  const app = process.env.APP ?? "app.js";
  const told = [...words, `env PORT={port} node ${app}`];
  const { status, stdout } = spawnSync(rateproof, told, { encoding: "utf8" });
  assert.equal(status, 0, stdout.trim().split("\n").at(-1));
});
