// express-rate-limit with its own memory store. Arguments: port.
const express = require("express");
const { rateLimit } = require("express-rate-limit");

const app = express();
app.use(rateLimit({ windowMs: 5000, limit: 5, keyGenerator: (request) => request.query.clientId ?? "" }));
app.get("/", (_, response) => response.send("hello\n"));
app.listen(Number(process.argv[2]), "127.0.0.1");
