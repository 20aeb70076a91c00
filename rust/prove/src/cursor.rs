//! Searches that begin where the last one ended.

/// Places further on at which a search looks one by one: most end there.
const NEAR: usize = 8;

/// A place in a sorted slice that moves little from one search to the next.
#[derive(Debug, Default)]
pub(crate) struct Cursor(usize);

impl Cursor {
    /// The result of `sorted.partition_point(before)`, in the logarithm of the way.
    #[inline]
    pub fn seek<T>(&mut self, sorted: &[T], before: impl Fn(&T) -> bool) -> usize {
        let start = self.0.min(sorted.len());
        let near = sorted.len().min(start + NEAR);
        let mut at = start;
        while at < near && before(&sorted[at]) {
            at += 1;
        }
        let ended = at < near || at == sorted.len();
        if ended && (at > start || at == 0 || before(&sorted[at - 1])) {
            self.0 = at;
        } else {
            self.0 = far(at, sorted, before);
        }
        self.0
    }
}

/// The same from any place.
fn far<T>(from: usize, sorted: &[T], before: impl Fn(&T) -> bool) -> usize {
    let mut low = from;
    let mut high = low;
    let mut step = 1;
    while high < sorted.len() && before(&sorted[high]) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    while low > 0 && !before(&sorted[low - 1]) {
        high = low - 1;
        low = high.saturating_sub(step);
        step *= 2;
    }
    let high = high.min(sorted.len());
    low + sorted[low..high].partition_point(before)
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn it_finds_the_partition_point_wherever_it_begins() {
        for length in 0..12 {
            let sorted: Vec<usize> = (0..length).map(|number| number / 2).collect();
            for (start, sought) in (0..20).flat_map(|start| (0..8).map(move |to| (start, to))) {
                let found = Cursor(start).seek(&sorted, |&number| number < sought);
                assert_eq!(found, sorted.partition_point(|&number| number < sought));
            }
        }
    }
}
