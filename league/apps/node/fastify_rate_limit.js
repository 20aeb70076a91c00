// @fastify/rate-limit with its own local store. Arguments: port.
const fastify = require("fastify")();

async function main() {
  await fastify.register(require("@fastify/rate-limit"), {
    max: 5,
    timeWindow: 5000,
    keyGenerator: (request) => request.query.clientId ?? "",
  });
  fastify.get("/", async () => "hello\n");
  await fastify.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
}

main();
