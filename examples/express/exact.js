const express = require("express");

const app = express();
const key = (request) => request.get("X-Api-Key") ?? "nobody";
const admitted = new Map(); // of each client, when
app.use((request, response, next) => {
  const now = performance.now();
  const times = (admitted.get(key(request)) ?? []).filter((at) => now - at < 5000);
  const full = times.length >= 5;
  admitted.set(key(request), full ? times : [...times, now]);
  if (!full) return next();
  response.set("Retry-After", Math.ceil((times[0] + 5000 - now) / 1000)).sendStatus(429);
});
app.get("/search", (request, response) => {
  response.send("nothing found\n");
});
app.listen(process.env.PORT ?? 3000, "127.0.0.1", () => {
  console.log("ready");
});
