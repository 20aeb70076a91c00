// hono-rate-limiter with its own memory store. Arguments: port.
const { serve } = require("@hono/node-server");
const { Hono } = require("hono");
const { rateLimiter } = require("hono-rate-limiter");

const app = new Hono();
app.use(rateLimiter({ windowMs: 5000, limit: 5, keyGenerator: (context) => context.req.query("clientId") ?? "" }));
app.get("/", (context) => context.text("hello\n"));
serve({ fetch: app.fetch, port: Number(process.argv[2]), hostname: "127.0.0.1" });
