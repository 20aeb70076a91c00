//! The most requests of a key in any window, and how many keys are in use at once.

use crate::replay::slack_ns;
use crate::traffic::Client;

/// Memory that is used again from key to key.
#[derive(Default)]
pub struct Peaks {
    ends: Vec<i64>,
    widths: Vec<i64>,
    slack_ns: i64,
}

impl Peaks {
    /// Looks at a key, before its windows are asked for.
    pub fn begin(&mut self, client: Client<'_>) {
        self.ends.clear();
        let ends = client
            .requests
            .iter()
            .map(|one| one.sent_ns.saturating_add(one.width_ns()));
        self.ends.extend(ends);
        if !self.ends.is_sorted() {
            self.ends.sort_unstable();
        }
        self.slack_ns = slack_ns(client, &mut self.widths);
    }

    /// See [`slack_ns`].
    #[must_use]
    pub fn slack_ns(&self) -> i64 {
        self.slack_ns
    }

    /// The most that any half-open window may have held: of requests that touch it, for one ends
    /// where the window begins.
    #[must_use]
    pub fn most(&self, client: Client<'_>, window_ns: i64) -> usize {
        let (mut begun, mut most) = (0, 0);
        for (ended, &end_ns) in self.ends.iter().enumerate() {
            let until_ns = end_ns.saturating_add(window_ns);
            while client
                .requests
                .get(begun)
                .is_some_and(|one| one.sent_ns < until_ns)
            {
                begun += 1;
            }
            most = most.max(begun - ended);
        }
        most
    }

    /// The most that some window has held for certain.
    #[must_use]
    pub fn least(&self, client: Client<'_>, window_ns: i64) -> usize {
        let usable = |at: usize| {
            let one = &client.requests[at];
            !one.unseen() && one.width_ns() <= self.slack_ns
        };
        let (mut first, mut count, mut least) = (0, 0, 0);
        for (at, request) in client.requests.iter().enumerate() {
            if !usable(at) {
                continue;
            }
            count += 1;
            while first < at
                && request.sent_ns + self.slack_ns - client.requests[first].sent_ns >= window_ns
            {
                count -= usize::from(usable(first));
                first += 1;
            }
            least = least.max(count);
        }
        least
    }
}

/// The peaks of a key in each window, which on the log's clock has a least and a greatest length.
pub fn peaks(
    client: Client<'_>,
    windows_ns: &[(i64, i64)],
    memory: &mut Peaks,
    found: &mut Vec<(u32, u32)>,
) {
    memory.begin(client);
    for &(least_ns, most_ns) in windows_ns {
        if let [_] = client.requests {
            found.push((1, 1));
            continue;
        }
        let (least, most) = (memory.least(client, least_ns), memory.most(client, most_ns));
        found.push((least.min(most) as u32, most as u32));
    }
}

/// Adds to a row of bins of `bin_ns` from `since_ns` on the times in which a key needs a place: from
/// a request until `window_ns` after it. A bin's sum up to it is the keys in use within it.
pub fn places(client: Client<'_>, window_ns: i64, since_ns: i64, bin_ns: i64, bins: &mut [i64]) {
    let last = bins.len() as i64 - 1;
    let bin = |ns: i64| ((ns - since_ns) / bin_ns).clamp(0, last) as usize;
    let mut open: Option<(usize, usize)> = None;
    for request in client.requests {
        let from = bin(request.sent_ns);
        let until = bin(request
            .sent_ns
            .saturating_add(request.width_ns())
            .saturating_add(window_ns))
            + 1;
        open = match open {
            Some((begun, end)) if from <= end => Some((begun, end.max(until))),
            before => {
                close(bins, before);
                Some((from, until))
            }
        };
    }
    close(bins, open);
}

fn close(bins: &mut [i64], open: Option<(usize, usize)>) {
    if let Some((from, until)) = open {
        bins[from] += 1;
        if let Some(bin) = bins.get_mut(until) {
            *bin -= 1;
        }
    }
}
