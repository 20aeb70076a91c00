// Three clients against "5 per 5s": each presses until it is refused, waits, and presses again.
import http from 'k6/http';
import { sleep } from 'k6';
export const options = { vus: 3, iterations: 3, discardResponseBodies: true };
export default function () {
  const url = `${__ENV.TARGET}/?clientId=client-${__VU}`;
  for (let i = 0; i < 6; i++) http.get(url);
  sleep(5.01);
  for (let i = 0; i < 3; i++) http.get(url);
}
