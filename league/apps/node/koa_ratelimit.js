// koa-ratelimit with its memory driver. Arguments: port.
const Koa = require("koa");
const ratelimit = require("koa-ratelimit");

const app = new Koa();
app.use(ratelimit({ driver: "memory", db: new Map(), duration: 5000, max: 5, id: (context) => context.query.clientId ?? "none" }));
app.use((context) => {
  context.body = "hello\n";
});
app.listen(Number(process.argv[2]), "127.0.0.1");
