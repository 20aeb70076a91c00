// rate-limiter-flexible's RateLimiterMemory behind node's own server. Arguments: port.
const http = require("node:http");
const { RateLimiterMemory } = require("rate-limiter-flexible");

const limiter = new RateLimiterMemory({ points: 5, duration: 5 });

http
  .createServer((request, response) => {
    const key = new URL(request.url, "http://localhost").searchParams.get("clientId") ?? "";
    limiter.consume(key).then(
      () => response.end("hello\n"),
      () => response.writeHead(429).end("slow down\n"),
    );
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
