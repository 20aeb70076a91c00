//! A model: each client that is rejected comes back once, when Retry-After says so.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::gate::Gates;
use crate::traffic::Client;

const SECOND_NS: i64 = 1_000_000_000;

/// Rejections in the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Of requests that the log has.
    pub first: usize,
    /// Of their repetitions: these never got through.
    pub again: usize,
}

/// Replays a key whose requests were decided as early as they can have been. Retry-After is in whole
/// seconds, rounded up.
pub fn retries(client: Client<'_>, gates: &mut Gates<'_>) -> Retried {
    gates.renew(0);
    let mut waiting = BinaryHeap::new();
    let mut found = Retried::default();
    let mut requests = client.requests.iter().map(|one| one.sent_ns).peekable();
    loop {
        let due = waiting.peek().map(|&Reverse(at_ns)| at_ns);
        let (now_ns, retried) = match (requests.peek().copied(), due) {
            (Some(next_ns), Some(due_ns)) if due_ns < next_ns => (due_ns, true),
            (Some(next_ns), _) => (next_ns, false),
            (None, Some(due_ns)) => (due_ns, true),
            (None, None) => return found,
        };
        if retried {
            waiting.pop();
        } else {
            requests.next();
        }
        let free_ns = gates.free_ns();
        if now_ns >= free_ns {
            gates.admit(now_ns);
        } else if retried {
            found.again += 1;
        } else {
            found.first += 1;
            let wait_ns = (free_ns - now_ns + SECOND_NS - 1) / SECOND_NS * SECOND_NS;
            waiting.push(Reverse(now_ns + wait_ns));
        }
    }
}
