// rolling-rate-limiter's InMemoryRateLimiter behind node's own server. Arguments: port.
const http = require("node:http");
const { InMemoryRateLimiter } = require("rolling-rate-limiter");

const limiter = new InMemoryRateLimiter({ interval: 5000, maxInInterval: 5 });

http
  .createServer(async (request, response) => {
    const key = new URL(request.url, "http://localhost").searchParams.get("clientId") ?? "";
    if (await limiter.limit(key)) response.writeHead(429).end("slow down\n");
    else response.end("hello\n");
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
