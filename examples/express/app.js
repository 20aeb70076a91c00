const express = require("express");
const { rateLimit } = require("express-rate-limit");

const app = express();
const key = (request) => request.get("X-Api-Key") ?? "nobody";
app.use(rateLimit({ windowMs: 5000, limit: 5, keyGenerator: key }));
app.get("/search", (request, response) => {
  response.send("nothing found\n");
});
app.listen(process.env.PORT ?? 3000, "127.0.0.1", () => {
  console.log("ready");
});
