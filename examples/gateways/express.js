const limits = 'http://127.0.0.1:8090/check/api'
app.use(async (req, res, next) => {
  const headers = { 'x-api-key': req.get('x-api-key') ?? '', 'x-forwarded-for': req.socket.remoteAddress }
  const asked = await fetch(limits + req.originalUrl, { headers, signal: AbortSignal.timeout(500) }).catch(() => null)
  if (!asked) return res.set('Retry-After', '1').sendStatus(503) // no decision; to let requests pass: next()
  for (const [name, value] of asked.headers) if (/^(ratelimit|retry-after|content-type)/.test(name)) res.set(name, value)
  return asked.ok ? next() : res.status(asked.status).send(await asked.text())
})
