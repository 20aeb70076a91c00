// Each answer says when the server decided; the instant is logged as a tag of a metric of its own.
import http from 'k6/http';
import { Counter } from 'k6/metrics';
const decided = new Counter('decided');
export const options = { vus: 4, iterations: 24 };
export default function () {
  const url = `${__ENV.TARGET}/?clientId=r${__VU}-${__ITER}`;
  const answer = http.get(url, { timeout: '500ms' });
  if (answer.headers['X-Decided-Ns']) decided.add(1, { of: `r${__VU}-${__ITER}`, ns: answer.headers['X-Decided-Ns'] });
}
