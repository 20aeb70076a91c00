//! Plans for Python: requests parted by key, and what limits would have done to them.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rateproof_plan::{
    Bound, Client, Gate, Gates, Outcome, Peaks, Replay, Request, Traffic as Requests, distinct,
    parted as requests_parted, peaks, places, retries,
};

use crate::access::column;

/// Limit, lag, and the least and the longest window; or burst, -1, and those of a token.
type GateFigures = (usize, i64, i64, i64);
/// Rejections at least and at most, clients at least and at most, rejections at most by bin.
type Bounded<'py> = (usize, usize, usize, usize, Bound_<'py>);
type Bound_<'py> = pyo3::Bound<'py, PyBytes>;
/// Code, requests, user agents, paths, the first and the last instant, bounds of each question.
type Told = (i32, usize, usize, usize, i64, i64, Vec<(usize, usize)>);

/// The width of each request, as `Traffic` takes it, from its instants and its status; the earliest
/// and the latest instant of all, where there are requests.
#[pyfunction]
pub fn request_widths<'py>(
    py: Python<'py>,
    sent_ns: &[u8],
    received_ns: &[u8],
    status: &[u8],
    unseen: Vec<i64>,
) -> (Bound_<'py>, Option<i64>, Option<i64>) {
    let (widths, since_ns, until_ns) = py.detach(|| {
        let [sent, received, status] =
            [sent_ns, received_ns, status].map(|one| numbers(one, i64::from_ne_bytes));
        let (mut since_ns, mut until_ns) = (None, None);
        let mut widths: Vec<u32> = Vec::with_capacity(sent.len());
        for ((sent, received), status) in sent.zip(received).zip(status) {
            since_ns = Some(since_ns.map_or(sent, |one| sent.min(one)));
            until_ns = until_ns.max(Some(received));
            let unseen = unseen.contains(&status);
            widths.push(Request::packed_width(received - sent, unseen));
        }
        (widths, since_ns, until_ns)
    });
    (column(py, &widths), since_ns, until_ns)
}

/// The sums of rows of numbers of the same length, place by place.
#[pyfunction]
pub fn summed<'py>(py: Python<'py>, rows: Vec<PyBackedBytes>) -> Bound_<'py> {
    let mut sums = vec![0_i64; rows.first().map_or(0, |row| row.len() / size_of::<i64>())];
    for row in &rows {
        for (sum, number) in sums.iter_mut().zip(numbers(row, i64::from_ne_bytes)) {
            *sum += number;
        }
    }
    column(py, &sums)
}

/// Requests as rows, in so many parts by their codes; see `rateproof.plan.traffic`.
#[pyfunction]
pub fn parted<'py>(
    py: Python<'py>,
    codes: &[u8],
    columns: [PyBackedBytes; 4],
    parts: usize,
) -> Vec<Bound_<'py>> {
    let [sent, widths, agents, paths] = &columns;
    let rows = py.detach(|| {
        let hashes = numbers(agents, u32::from_ne_bytes).zip(numbers(paths, u32::from_ne_bytes));
        let times = numbers(sent, i64::from_ne_bytes).zip(numbers(widths, u32::from_ne_bytes));
        let rows = numbers(codes, i32::from_ne_bytes).zip(times).zip(hashes);
        let requests = rows.map(|((code, (sent_ns, width)), (agent, path))| Request {
            code,
            sent_ns,
            width,
            agent,
            path,
        });
        requests_parted(requests, parts)
    });
    rows.iter().map(|rows| PyBytes::new(py, rows)).collect()
}

/// The requests of some keys; see `rateproof.plan`.
#[pyclass(module = "rateproof._native", frozen)]
pub struct Traffic {
    requests: Requests,
}

#[pymethods]
impl Traffic {
    /// From rows of code, earliest instant, width, hash of the user agent and of the path.
    #[new]
    fn new(py: Python<'_>, rows: &[u8], stride: usize) -> Self {
        let requests = py.detach(|| Requests::new(rows, stride));
        Self { requests }
    }

    /// Of each window, of a least and a greatest length: the least and the most requests in any one, by place of the client, 0 of who
    /// has no requests; places by bin of each window, and requests by bin.
    fn peaks<'py>(
        &self,
        py: Python<'py>,
        windows_ns: Vec<(i64, i64)>,
        grid: (i64, i64, usize),
    ) -> (Vec<(Bound_<'py>, Bound_<'py>)>, Vec<Bound_<'py>>) {
        let (since_ns, bin_ns, bins) = grid;
        let found = py.detach(|| {
            let places_of_keys = self.requests.places();
            let mut sides =
                vec![(vec![0_i32; places_of_keys], vec![0_i32; places_of_keys]); windows_ns.len()];
            let mut rows = vec![vec![0_i64; bins]; windows_ns.len() + 1];
            let (mut memory, mut tops) = (Peaks::default(), Vec::new());
            for client in self.requests.clients() {
                tops.clear();
                peaks(client, &windows_ns, &mut memory, &mut tops);
                let place = self.requests.place(client.code);
                for ((low, high), top) in sides.iter_mut().zip(&tops) {
                    (low[place], high[place]) = (top.0 as i32, top.1 as i32);
                }
                for (&(_, window_ns), row) in windows_ns.iter().zip(&mut rows) {
                    places(client, window_ns, since_ns, bin_ns, row);
                }
                for request in client.requests {
                    let at = (request.sent_ns - since_ns) / bin_ns;
                    rows[windows_ns.len()][at.clamp(0, bins as i64 - 1) as usize] += 1;
                }
            }
            (sides, rows)
        });
        let sides = found.0.iter();
        (
            sides
                .map(|(low, high)| (column(py, low), column(py, high)))
                .collect(),
            found.1.iter().map(|row| column(py, row)).collect(),
        )
    }

    /// Of each policy: the bounds over all keys.
    fn bounds<'py>(
        &self,
        py: Python<'py>,
        policies: Vec<Vec<GateFigures>>,
        grid: (i64, i64, usize),
    ) -> Vec<Bounded<'py>> {
        let (policies, (since_ns, bin_ns, bins)) = (gates_of(&policies), grid);
        let found = py.detach(|| {
            let mut sums = vec![(Outcome::default(), Outcome::default()); policies.len()];
            let mut rows = vec![vec![0_i64; bins]; policies.len()];
            let everyone = |_| true;
            self.among(everyone, &policies, |_, at, outcome, times| {
                let (requests, clients) = &mut sums[at];
                requests.least += outcome.least;
                requests.most += outcome.most;
                clients.least += usize::from(outcome.least > 0);
                clients.most += usize::from(outcome.most > 0);
                for &mut time_ns in times {
                    let bin = ((time_ns - since_ns) / bin_ns).clamp(0, bins as i64 - 1);
                    rows[at][bin as usize] += 1;
                }
            });
            (sums, rows)
        });
        let (sums, rows) = found;
        (sums.iter().zip(rows))
            .map(|((requests, clients), row)| {
                let row = column(py, &row);
                (
                    requests.least,
                    requests.most,
                    clients.least,
                    clients.most,
                    row,
                )
            })
            .collect()
    }

    /// The traffic of these keys, and the bounds of each policy for it.
    fn clients(
        &self,
        py: Python<'_>,
        wanted: Vec<i32>,
        policies: Vec<Vec<GateFigures>>,
    ) -> Vec<Told> {
        let policies = gates_of(&policies);
        py.detach(|| {
            let mut told: Vec<Told> = (self.requests.clients())
                .filter(|client| wanted.contains(&client.code))
                .map(|client| {
                    let of = client.requests;
                    let agents = distinct(of.iter().map(|one| one.agent));
                    let paths = distinct(of.iter().map(|one| one.path));
                    let (first, last) = (of[0].sent_ns, of[of.len() - 1].sent_ns);
                    let bounds = vec![(0, 0); policies.len()];
                    (client.code, of.len(), agents, paths, first, last, bounds)
                })
                .collect();
            let mut place = std::collections::HashMap::new();
            for (at, one) in told.iter().enumerate() {
                place.insert(one.0, at);
            }
            self.among(
                |code| place.contains_key(&code),
                &policies,
                |client, at, outcome, _| {
                    told[place[&client.code]].6[at] = (outcome.least, outcome.most);
                },
            );
            told
        })
    }

    /// Of each policy: rejections, and of those what was rejected again at its one repetition.
    fn retries(&self, py: Python<'_>, policies: Vec<Vec<GateFigures>>) -> Vec<(usize, usize)> {
        let policies = gates_of(&policies);
        py.detach(|| {
            let mut sums = vec![(0, 0); policies.len()];
            for ((first, again), gates) in sums.iter_mut().zip(&policies) {
                let mut gates = Gates::new(gates, Bound::Upper);
                for client in self.requests.clients() {
                    let found = retries(client, &mut gates);
                    *first += found.first;
                    *again += found.again;
                }
            }
            sums
        })
    }
}

impl Traffic {
    /// Replays each key under each policy that may reject anything of it.
    fn among(
        &self,
        wanted: impl Fn(i32) -> bool,
        policies: &[Vec<Gate>],
        mut tell: impl FnMut(Client<'_>, usize, Outcome, &mut Vec<i64>),
    ) {
        let mut replays: Vec<_> = policies.iter().map(|policy| Replay::new(policy)).collect();
        let (mut memory, mut times) = (Peaks::default(), Vec::new());
        let mut known: Vec<(i64, usize)> = Vec::new();
        let fewest = policies.iter().flatten().map(|one| one.harmless().0).min();
        for client in self.requests.clients() {
            let all = client.requests.len();
            if fewest.is_none_or(|limit| all <= limit) || !wanted(client.code) {
                continue;
            }
            memory.begin(client);
            known.clear();
            for (at, policy) in policies.iter().enumerate() {
                let harmful = policy.iter().any(|gate| {
                    let (limit, window_ns) = gate.harmless();
                    if all <= limit {
                        return false;
                    }
                    // A longer window holds as many or more, a shorter one as many or fewer.
                    let seen = known.iter().find_map(|&(known_ns, most)| {
                        if known_ns >= window_ns && most <= limit {
                            Some(false)
                        } else if known_ns <= window_ns && most > limit {
                            Some(true)
                        } else {
                            None
                        }
                    });
                    seen.unwrap_or_else(|| {
                        let most = memory.most(client, window_ns);
                        known.push((window_ns, most));
                        most > limit
                    })
                });
                if harmful {
                    times.clear();
                    let slack_ns = memory.slack_ns();
                    let outcome = replays[at].of(client, slack_ns, |time| times.push(time));
                    tell(client, at, outcome, &mut times);
                }
            }
        }
    }
}

fn gates_of(policies: &[Vec<GateFigures>]) -> Vec<Vec<Gate>> {
    let gate = |&(limit, lag, least_ns, most_ns): &GateFigures| match usize::try_from(lag) {
        Ok(lag) => Gate::Stair {
            limit,
            lag,
            least_ns,
            most_ns,
        },
        Err(_) => Gate::Bucket {
            burst: limit as i64,
            least_ns,
            most_ns,
        },
    };
    (policies.iter())
        .map(|policy| policy.iter().map(gate).collect())
        .collect()
}

fn numbers<T, const N: usize>(
    bytes: &[u8],
    read: impl Fn([u8; N]) -> T,
) -> impl ExactSizeIterator<Item = T> {
    bytes.as_chunks().0.iter().map(move |&one| read(one))
}
