//! Rejections without need: the sound rule of `rateproof.prove.rejections`.

use crate::seen::Seen;

/// How many admissions fill a window, and how long it may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    pub limit: usize,
    pub window: i64,
}

/// Whether any rejection is certainly wrong: no quota may have been full while it was decided.
///
/// Starts are of all that may have been admitted, ends of those of them that ended; both are
/// sorted. Rejections are in order. `kept` is for the function's own use.
pub(crate) fn any_wrong(
    rejections: &[Seen],
    starts: &[i64],
    ends: &[i64],
    quotas: impl Iterator<Item = Full>,
    kept: &mut Vec<Seen>,
) -> bool {
    kept.clear();
    kept.extend_from_slice(rejections);
    for quota in quotas {
        excuse(kept, starts, ends, quota);
        if kept.is_empty() {
            return false;
        }
    }
    !kept.is_empty()
}

/// Removes the rejections during which the window may have been full.
fn excuse(kept: &mut Vec<Seen>, starts: &[i64], ends: &[i64], quota: Full) {
    if quota.limit > starts.len() {
        return;
    }
    let mut begun = Cursor::default();
    let mut gone = Cursor::default();
    let mut count = |instant: i64| {
        let begun = begun.pass(starts, |&start| start <= instant);
        begun - gone.pass(ends, |&end| end + quota.window < instant)
    };
    // The count rises only at a start: the starts at which it is full.
    let full: Vec<i64> = (starts.iter().copied())
        .filter(|&start| count(start) >= quota.limit)
        .collect();
    let mut begun = Cursor::default();
    let mut gone = Cursor::default();
    let mut later = Cursor::default();
    kept.retain(|rejection| {
        let first = rejection.sent;
        let begun = begun.pass(starts, |&start| start <= first);
        let count = begun - gone.pass(ends, |&end| end + quota.window < first);
        let next = full.get(later.pass(&full, |&start| start <= first));
        count < quota.limit && next.is_none_or(|&start| start > rejection.end)
    });
}

/// A place in sorted values that only moves on.
#[derive(Default)]
struct Cursor(usize);

impl Cursor {
    /// Moves past the values that are `before`, and returns how many these are.
    fn pass(&mut self, values: &[i64], before: impl Fn(&i64) -> bool) -> usize {
        while values.get(self.0).is_some_and(&before) {
            self.0 += 1;
        }
        self.0
    }
}
