//! Counting what fell into one window: the twins of `rateproof.prove.over_admission.windows`.

use std::collections::BinaryHeap;

use crate::seen::Seen;

/// The most requests that may lie in one half-open window; both slices are sorted.
pub(crate) fn most_touching(starts: &[i64], ends: &[i64], window: i64) -> usize {
    let (mut most, mut begun) = (0, 0);
    // Among windows holding the same requests, take the last: it opens as one of them ends.
    for (gone, &opens) in ends.iter().enumerate() {
        while begun < starts.len() && starts[begun] < opens + window {
            begun += 1;
        }
        most = most.max(begun.saturating_sub(gone));
    }
    most
}

/// The most requests that certainly lie in one half-open window; they are in order.
///
/// `flat`: no interval lies strictly within another, so ends are in order too.
pub(crate) fn most_nested(requests: &[Seen], flat: bool, window: i64) -> usize {
    if flat {
        let mut ended = 0;
        return (requests.iter().enumerate())
            .map(|(first, opens)| {
                while ended < requests.len() && requests[ended].end < opens.sent + window {
                    ended += 1;
                }
                ended.saturating_sub(first)
            })
            .max()
            .unwrap_or(0);
    }
    let mut ends: Vec<i64> = requests.iter().map(|request| request.end).collect();
    ends.sort_unstable();
    // Of the requests sent since, by the rank of their ends: a Fenwick tree.
    let mut tree = vec![0_usize; ends.len() + 1];
    let mut most = 0;
    for request in requests.iter().rev() {
        let mut at = ends.partition_point(|&end| end < request.end) + 1;
        while at < tree.len() {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
        let mut at = ends.partition_point(|&end| end < request.sent + window);
        let mut nested = 0;
        while at > 0 {
            nested += tree[at];
            at &= at - 1;
        }
        most = most.max(nested);
    }
    most
}

/// The least time in which `size` requests were all sent and answered, and when the first of
/// them was sent; they are in order.
pub(crate) fn tightest_nest(requests: &[Seen], flat: bool, size: usize) -> Option<(i64, i64)> {
    if size > requests.len() {
        return None;
    }
    if flat {
        let closing = &requests[size - 1..];
        return (requests.iter().zip(closing))
            .map(|(opens, closes)| (closes.end - opens.sent, opens.sent))
            .min();
    }
    // Of the requests sent since, the `size` smallest ends; the largest of these closes the nest.
    let mut ends = BinaryHeap::with_capacity(size + 1);
    let mut tightest = None;
    for request in requests.iter().rev() {
        ends.push(request.end);
        if ends.len() > size {
            ends.pop();
        }
        if let Some(&closes) = ends.peek().filter(|_| ends.len() == size) {
            let nest = (closes - request.sent, request.sent);
            tightest = Some(tightest.map_or(nest, |least: (i64, i64)| least.min(nest)));
        }
    }
    tightest
}
