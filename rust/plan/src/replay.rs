//! Bounds on how many requests of a key a policy would have rejected.

use crate::gate::{Bound, Gate, Gates, NEVER};
use crate::traffic::{Client, ENDLESS_NS};

/// Rejections of a key, at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// At least.
    pub least: usize,
    /// At most.
    pub most: usize,
}

/// The slack of a key: no width above it is replayed.
///
/// One slow upload must not widen a key: where the widest in a hundred is much wider than the
/// rest, those above are left out; of them nothing is known.
pub(crate) fn slack_ns(client: Client<'_>, widths: &mut Vec<i64>) -> i64 {
    widths.clear();
    widths.extend(client.requests.iter().map(|one| one.width_ns()));
    widths.retain(|&width_ns| width_ns < ENDLESS_NS);
    let most = widths.iter().copied().max().unwrap_or(0);
    let least = widths.iter().copied().min().unwrap_or(0);
    if most <= 2 * least {
        return most;
    }
    let at = widths.len() - 1 - widths.len() / 100;
    let (_, &mut usual, _) = widths.select_nth_unstable(at);
    if most > 2 * usual { usual } else { most }
}

/// A policy that is replayed, once for each bound; memory is used again from key to key.
pub struct Replay<'a> {
    gates: &'a [Gate],
    lower: Gates<'a>,
    upper: Gates<'a>,
    admitted: [Vec<i64>; 2],
}

impl<'a> Replay<'a> {
    /// Of these gates.
    #[must_use]
    pub fn new(gates: &'a [Gate]) -> Self {
        Self {
            gates,
            lower: Gates::new(gates, Bound::Lower),
            upper: Gates::new(gates, Bound::Upper),
            admitted: [Vec::new(), Vec::new()],
        }
    }

    /// Replays a key's requests; `rejected` is told the instant of each rejection for the upper bound.
    pub fn of(&mut self, client: Client<'_>, slack_ns: i64, rejected: impl FnMut(i64)) -> Outcome {
        let mut outcome = match *self.gates {
            [
                Gate::Stair {
                    limit,
                    lag: 0,
                    least_ns,
                    most_ns,
                },
            ] => self.one_window(client, slack_ns, (limit, least_ns, most_ns), rejected),
            _ => self.any(client, slack_ns, rejected),
        };
        // Each is a bound, also where the gates' roundings differ.
        outcome.least = outcome.least.min(outcome.most);
        outcome
    }

    fn any(&mut self, client: Client<'_>, slack_ns: i64, mut rejected: impl FnMut(i64)) -> Outcome {
        let (lower, upper) = (&mut self.lower, &mut self.upper);
        lower.renew(slack_ns);
        upper.renew(slack_ns);
        let mut outcome = Outcome::default();
        for request in client.requests {
            let (now_ns, known) = (request.sent_ns, request.width_ns() <= slack_ns);
            if known && !request.unseen() {
                if now_ns >= lower.free_ns() {
                    lower.admit(now_ns);
                } else {
                    outcome.least += 1;
                }
            }
            if known && now_ns >= upper.free_ns() {
                upper.admit(now_ns);
            } else {
                outcome.most += 1;
                rejected(now_ns);
            }
        }
        outcome
    }

    /// The same of one log, which is what most replays are of: what `Gates` do, and nothing else.
    fn one_window(
        &mut self,
        client: Client<'_>,
        slack_ns: i64,
        (limit, least_ns, most_ns): (usize, i64, i64),
        mut rejected: impl FnMut(i64),
    ) -> Outcome {
        let [lower, upper] = &mut self.admitted;
        lower.clear();
        upper.clear();
        let mut outcome = Outcome::default();
        for request in client.requests {
            let (now_ns, known) = (request.sent_ns, request.width_ns() <= slack_ns);
            if known && !request.unseen() {
                let before = lower.len().checked_sub(limit);
                let next_ns = before.map_or(NEVER, |at| lower[at] + least_ns);
                if now_ns >= next_ns - slack_ns {
                    lower.push(now_ns.max(next_ns));
                } else {
                    outcome.least += 1;
                }
            }
            let before = upper.len().checked_sub(limit);
            let free_ns = before.map_or(NEVER, |at| upper[at] + most_ns + slack_ns);
            if known && now_ns >= free_ns {
                upper.push(now_ns);
            } else {
                outcome.most += 1;
                rejected(now_ns);
            }
        }
        outcome
    }
}
