// Two clients around the edge of a window of "5 per 5s": 1 request, 4 just before, 5 just after.
import http from 'k6/http';
import { sleep } from 'k6';
export const options = { vus: 2, iterations: 2, discardResponseBodies: true };
export default function () {
  const start = Date.now();
  const url = `${__ENV.TARGET}/?clientId=client-${__VU}`;
  http.get(url);
  sleep(4.8 - (Date.now() - start) / 1000);
  for (let i = 0; i < 4; i++) http.get(url);
  sleep(5.1 - (Date.now() - start) / 1000);
  for (let i = 0; i < 5; i++) http.get(url);
}
