//! Rejections of which only a search over orders can tell: the twin of `rateproof.prove.wrong_rejection.together`.

use std::ops::Range;

use crate::cursor::Cursor;
use crate::orders::{Episode, Log, explain};
use crate::seen::Seen;

/// Rejections that are explained together, at most.
const MOST: usize = 32;

/// Budget of a search here for each request of a piece; beyond that it is made elsewhere.
const FIRST_BUDGET: u64 = 64;

/// The requests of a key, each kind in order.
pub(crate) struct Requests<'a> {
    pub admitted: &'a [Seen],
    pub rejected: &'a [Seen],
    /// The rejections to judge.
    pub judged: Range<usize>,
    /// Instant at which the first request of unknown outcome was sent.
    pub unknown_from: Option<i64>,
    /// Instant at which each that counts was sent, and ended; sorted.
    pub starts: &'a [i64],
    pub ends: &'a [i64],
    pub denied_count: bool,
}

/// The price of explaining every rejection by searches over orders; None where one does not.
pub(crate) fn explained(requests: &Requests<'_>, logs: &[Log]) -> Option<u64> {
    let doubtful = doubtful(requests, logs);
    if doubtful.is_empty() {
        return Some(0);
    }
    // Twice as far back, and in what is compared, no sum overflows.
    let reach = logs.iter().map(|log| log.high_ns).max()?;
    let latest = |seen: &[Seen]| {
        let later = |latest: &mut i64, seen: &Seen| {
            *latest = seen.end.max(*latest);
            Some(*latest)
        };
        seen.iter().scan(i64::MIN, later).collect::<Vec<_>>()
    };
    let admitted_by = latest(requests.admitted);
    let rejected_by = match requests.denied_count {
        true => latest(requests.rejected),
        false => Vec::new(),
    };
    let mut spent = 0;
    let mut rest = doubtful.as_slice();
    while !rest.is_empty() {
        let (group, behind) = rest.split_at(together(rest, requests, &admitted_by, reach));
        rest = behind;
        let seen = |&at: &usize| requests.rejected[at];
        let from = group.iter().map(|at| seen(at).sent).min()? - 2 * reach;
        let until = group.iter().map(|at| seen(at).end).max()? + reach;
        let within = |all: &[Seen], by: &[i64]| {
            let first = by.partition_point(|&latest| latest < from);
            let last = all.partition_point(|seen| seen.sent <= until);
            (first..last.max(first))
                .filter(|&at| all[at].end >= from)
                .collect::<Vec<_>>()
        };
        let times = |seen: Seen| (seen.sent, seen.end);
        let admitted = within(requests.admitted, &admitted_by);
        let others = match requests.denied_count {
            true => within(requests.rejected, &rejected_by),
            false => Vec::new(),
        };
        let others = others.into_iter().filter(|at| !group.contains(at));
        let piece = Episode {
            requests: [
                (admitted.into_iter().map(|at| times(requests.admitted[at]))).collect(),
                group.iter().map(|at| times(seen(at))).collect(),
                others.map(|at| times(requests.rejected[at])).collect(),
            ],
            denied_count: requests.denied_count,
        };
        let size = piece.requests.iter().map(Vec::len).sum::<usize>() as u64;
        spent += explain(&piece, logs, FIRST_BUDGET * size)?;
    }
    Some(spent)
}

/// The rejections for which no log is certainly full as they are sent, nor as they are answered.
fn doubtful(requests: &Requests<'_>, logs: &[Log]) -> Vec<usize> {
    let more = usize::from(requests.denied_count);
    let (starts, ends) = (requests.starts, requests.ends);
    let full_at_end = |end: i64| {
        let ended = ends.partition_point(|&other| other <= end);
        logs.iter().any(|log| {
            let gone = starts.partition_point(|&start| start < end - log.high_ns);
            ended >= gone + log.limit + more
        })
    };
    let mut ended = Cursor::default();
    let mut gone: Vec<Cursor> = logs.iter().map(|_| Cursor::default()).collect();
    let mut full_at_start = |sent: i64| {
        let ended = ended.seek(ends, |&other| other <= sent);
        logs.iter().zip(&mut gone).any(|(log, gone)| {
            let gone = gone.seek(starts, |&start| start < sent - log.high_ns);
            ended >= gone + log.limit + more
        })
    };
    let known = |end: i64| requests.unknown_from.is_none_or(|from| end < from);
    (requests.judged.clone())
        .filter(|&at| {
            let Seen { sent, end } = requests.rejected[at];
            known(end) && !full_at_start(sent) && !full_at_end(end)
        })
        .collect()
}

/// Number of the first of these rejections that may share requests with one another.
fn together(doubtful: &[usize], requests: &Requests<'_>, admitted_by: &[i64], reach: i64) -> usize {
    let mut latest = i64::MIN;
    let apart = |&at: &usize| {
        let sent = requests
            .admitted
            .partition_point(|seen| seen.sent <= latest);
        let ends = sent
            .checked_sub(1)
            .map_or(latest, |last| admitted_by[last].max(latest));
        let rejection = requests.rejected[at];
        let apart = latest != i64::MIN && rejection.sent - reach > ends;
        latest = latest.max(rejection.end);
        apart
    };
    (doubtful.iter().take(MOST).position(apart)).unwrap_or(doubtful.len().min(MOST))
}
