// limiter's RateLimiter, one for each client, behind node's own server. Arguments: port.
const http = require("node:http");
const { RateLimiter } = require("limiter");

const limiters = new Map();

http
  .createServer((request, response) => {
    const key = new URL(request.url, "http://localhost").searchParams.get("clientId") ?? "";
    if (!limiters.has(key)) limiters.set(key, new RateLimiter({ tokensPerInterval: 5, interval: 5000 }));
    if (limiters.get(key).tryRemoveTokens(1)) response.end("hello\n");
    else response.writeHead(429).end("slow down\n");
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
