//! Bounds on how many requests of a key a policy would have rejected.

use crate::gate::{Bound, Gate, Gates};
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

/// Replays a key's requests through two sets of gates, the lower's and the upper's; `rejected` is
/// told the instant of each rejection of the upper one.
pub fn replay(
    client: Client<'_>,
    slack_ns: i64,
    (lower, upper): (&mut Gates<'_>, &mut Gates<'_>),
    mut rejected: impl FnMut(i64),
) -> Outcome {
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
    // Each is a bound, also where the gates' roundings differ.
    outcome.least = outcome.least.min(outcome.most);
    outcome
}

/// Both sets of gates of a policy.
#[must_use]
pub fn both(gates: &[Gate]) -> (Gates<'_>, Gates<'_>) {
    (
        Gates::new(gates, Bound::Lower),
        Gates::new(gates, Bound::Upper),
    )
}
