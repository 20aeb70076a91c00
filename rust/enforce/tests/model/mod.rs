//! The five algorithms as anybody would write them down, from the times of all admissions.

use std::collections::HashMap;

use rateproof_enforce::{Answer, Quota};

/// What one key was admitted: the times in order, one for each unit of cost.
type Admissions = Vec<u64>;

/// A table of a quota with room for `slots` keys.
pub struct Model {
    quota: Quota,
    slots: usize,
    admitted: HashMap<u8, Admissions>,
}

impl Model {
    pub fn new(quota: Quota, slots: usize) -> Self {
        Self {
            quota,
            slots,
            admitted: HashMap::new(),
        }
    }

    pub fn forget(&mut self, key: u8) {
        self.admitted.remove(&key);
    }

    /// What a hit, or a peek that takes nothing, is to be told.
    pub fn answer(&mut self, key: u8, cost: u64, now: u64, take: bool) -> Answer {
        let quota = self.quota;
        self.admitted
            .retain(|_, times| reset_after(&quota, times, now) > 0);
        if self.admitted.len() == self.slots && !self.admitted.contains_key(&key) {
            let waits = self.admitted.values();
            let wait = waits.map(|times| reset_after(&quota, times, now)).min();
            return full(wait.unwrap_or(0));
        }
        let mut times = self.admitted.get(&key).cloned().unwrap_or_default();
        let retry_after_ns = wait_for(&quota, &times, now, cost);
        let admitted = retry_after_ns == 0;
        if admitted && take {
            times.extend((0..cost).map(|_| now));
            self.admitted.insert(key, times.clone());
        }
        Answer {
            admitted,
            full: false,
            remaining: remaining(&quota, &times, now),
            retry_after_ns,
            reset_after_ns: reset_after(&quota, &times, now),
        }
    }
}

fn full(wait: u64) -> Answer {
    Answer {
        admitted: false,
        full: true,
        remaining: 0,
        retry_after_ns: wait,
        reset_after_ns: wait,
    }
}

/// The most admissions that pass at once.
fn remaining(quota: &Quota, times: &[u64], now: u64) -> u64 {
    (0..=quota.burst)
        .rev()
        .find(|cost| fits(quota, times, now, *cost))
        .expect("nothing always fits")
}

/// The first wait after which the cost fits: it does from then on, until a window ends.
fn wait_for(quota: &Quota, times: &[u64], now: u64, cost: u64) -> u64 {
    if fits(quota, times, now, cost) {
        return 0;
    }
    let (mut least, mut most) = (0, reset_after(quota, times, now));
    while most - least > 1 {
        let middle = least.midpoint(most);
        if fits(quota, times, now + middle, cost) {
            most = middle;
        } else {
            least = middle;
        }
    }
    most
}

fn fits(quota: &Quota, times: &[u64], now: u64, cost: u64) -> bool {
    let Quota {
        limit, window_ns, ..
    } = *quota;
    let count = |from: u64, to: u64| times.iter().filter(|t| (from..to).contains(t)).count() as u64;
    let window = now / window_ns * window_ns;
    let taken = match quota.algorithm.name() {
        "sliding-log" => count((now + 1).saturating_sub(window_ns), now + 1),
        "fixed-window" => count(window, window + window_ns),
        "first-hit-window" => first_hit(quota, times, now).1,
        "token-bucket" => {
            let token_ns = window_ns.div_ceil(limit);
            return level(quota, times, now) + cost * token_ns <= quota.burst * token_ns;
        }
        "sliding-counter" => {
            let before = count(window.saturating_sub(window_ns), window);
            let weight = u128::from(before) * u128::from(window + window_ns - now);
            let weight = weight.div_ceil(u128::from(window_ns)) as u64;
            weight + count(window, window + window_ns)
        }
        other => unreachable!("a model of {other}"),
    };
    taken + cost <= limit
}

/// When all is as if nothing had ever been admitted.
fn reset_after(quota: &Quota, times: &[u64], now: u64) -> u64 {
    let window_ns = quota.window_ns;
    let Some(last) = times.last() else { return 0 };
    let end = match quota.algorithm.name() {
        "sliding-log" => last + window_ns,
        "token-bucket" => now + level(quota, times, now),
        "fixed-window" => (last / window_ns + 1) * window_ns,
        "first-hit-window" => first_hit(quota, times, now).0,
        "sliding-counter" => (last / window_ns + 2) * window_ns,
        other => unreachable!("a model of {other}"),
    };
    end.saturating_sub(now)
}

/// What is spent of a bucket that leaks a nanosecond each nanosecond.
fn level(quota: &Quota, times: &[u64], now: u64) -> u64 {
    let (mut level, mut before) = (0u64, 0);
    for time in times {
        level = level.saturating_sub(time - before) + quota.window_ns.div_ceil(quota.limit);
        before = *time;
    }
    level.saturating_sub(now - before)
}

/// The end of the latest window, and its count at `now`.
fn first_hit(quota: &Quota, times: &[u64], now: u64) -> (u64, u64) {
    let unit = (1 << (u64::BITS - quota.limit.leading_zeros())) / 4;
    let (mut end, mut count) = (0, 0);
    for time in times {
        if *time >= end {
            end = (time + quota.window_ns).next_multiple_of(u64::max(1, unit));
            count = 0;
        }
        count += 1;
    }
    (end, if now < end { count } else { 0 })
}
