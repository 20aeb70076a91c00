//! A quota as a replay keeps it: when the next admission is allowed, at the earliest.

/// The bound for which a replay is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As few rejections as any limiter of the policy could have had.
    Lower,
    /// As many.
    Upper,
}

/// The figures of a quota. `least_ns` and `most_ns` are its window on the log's clock, at the
/// shortest and at the longest, if the limiter's clock drifts.
#[derive(Clone, Copy, Debug)]
pub enum Gate {
    /// Of `limit * j + lag + 1` admissions in a row the last comes at least j windows of `least_ns`
    /// after the first; and a rejection has `limit` admissions less than `most_ns` before it.
    Stair {
        /// Admissions that a window holds.
        limit: usize,
        /// See above.
        lag: usize,
        /// See above.
        least_ns: i64,
        /// See above.
        most_ns: i64,
    },
    /// A bucket of `burst` tokens that gains one in a time from `least_ns` to `most_ns`.
    Bucket {
        /// Tokens.
        burst: i64,
        /// See above.
        least_ns: i64,
        /// See above.
        most_ns: i64,
    },
}

impl Gate {
    /// A bound: where no window of this length has more than so many requests, none is rejected.
    ///
    /// A bucket is never stricter than the log of its burst in the time in which it fills.
    #[must_use]
    pub fn harmless(&self) -> (usize, i64) {
        match *self {
            Self::Stair { limit, most_ns, .. } => (limit, most_ns),
            Self::Bucket { burst, most_ns, .. } => (burst as usize, burst.saturating_mul(most_ns)),
        }
    }
}

/// Gates of one key under way.
///
/// *Lower.* Whatever a limiter admits keeps the gap of each quota in true times. Sorted by their
/// earliest instants, no request is more than `slack_ns` before the one that had its place in true
/// order, so admissions keep every gap less the slack. Of all sets that do, the one that takes each
/// request as early as it can is a largest: its k-th admission is never later than another's.
///
/// *Upper.* A limiter that rejects only if some quota has `limit` admissions within its window
/// admits at least as many as the log of these quotas: at the first request where it would fall
/// behind, it has as many before that window and more in it. (Of a bucket the same, with any time
/// back to when it was full for the window.) And the log, which takes a largest set, admits as many
/// as any set that keeps its gaps plus the slack by earliest instants, for that keeps the gaps in
/// true times.
pub struct Gates<'a> {
    gates: &'a [Gate],
    bound: Bound,
    slack_ns: i64,
    /// Of each gate: instants of admissions, and when its next admission is allowed but for slack.
    states: Vec<State>,
    admitted: usize,
}

#[derive(Clone, Default)]
struct State {
    times: Vec<i64>,
    frees: Vec<i64>,
    full_ns: i64,
    next_ns: i64,
}

/// Before every instant.
pub(crate) const NEVER: i64 = i64::MIN / 4;

impl<'a> Gates<'a> {
    /// Fresh gates.
    #[must_use]
    pub fn new(gates: &'a [Gate], bound: Bound) -> Self {
        Self {
            gates,
            bound,
            slack_ns: 0,
            states: vec![State::default(); gates.len()],
            admitted: 0,
        }
    }

    /// Forgets everything: another key begins, with another slack.
    pub fn renew(&mut self, slack_ns: i64) {
        self.slack_ns = slack_ns;
        self.admitted = 0;
        for state in &mut self.states {
            state.times.clear();
            state.frees.clear();
            state.full_ns = NEVER;
        }
    }

    /// The instant from which on a next request is admitted, in order of time.
    #[inline]
    pub fn free_ns(&mut self) -> i64 {
        let mut free_ns = NEVER;
        for (gate, state) in self.gates.iter().zip(&mut self.states) {
            let one_ns = match (*gate, self.bound) {
                (
                    Gate::Stair {
                        limit,
                        lag,
                        least_ns,
                        ..
                    },
                    Bound::Lower,
                ) => {
                    let before = |values: &[i64], back| {
                        self.admitted
                            .checked_sub(back)
                            .map_or(NEVER, |at| values[at])
                    };
                    let last_ns =
                        before(&state.times, limit + lag).max(before(&state.frees, limit));
                    state.next_ns = if last_ns == NEVER {
                        NEVER
                    } else {
                        last_ns + least_ns
                    };
                    state.next_ns - self.slack_ns
                }
                (Gate::Stair { limit, most_ns, .. }, Bound::Upper) => {
                    let at = self.admitted.checked_sub(limit);
                    at.map_or(NEVER, |at| state.times[at] + most_ns + self.slack_ns)
                }
                (
                    Gate::Bucket {
                        burst, least_ns, ..
                    },
                    Bound::Lower,
                ) => {
                    let empty_ns = (burst - 1).saturating_mul(least_ns);
                    state
                        .full_ns
                        .saturating_sub(empty_ns)
                        .saturating_sub(self.slack_ns)
                }
                (Gate::Bucket { burst, most_ns, .. }, Bound::Upper) => {
                    let (token_ns, slack_ns) = upper(burst, most_ns, self.slack_ns);
                    let empty_ns = (burst - 1).saturating_mul(token_ns);
                    state.full_ns.saturating_sub(empty_ns) + slack_ns
                }
            };
            free_ns = free_ns.max(one_ns);
        }
        free_ns
    }

    /// Admits one at that instant, which is not before `free_ns` said just now.
    #[inline]
    pub fn admit(&mut self, now_ns: i64) {
        for at in 0..self.gates.len() {
            let gate = self.gates[at];
            let token_ns = match (gate, self.bound) {
                (Gate::Bucket { least_ns, .. }, Bound::Lower) => least_ns,
                (Gate::Bucket { burst, most_ns, .. }, Bound::Upper) => {
                    upper(burst, most_ns, self.slack_ns).0
                }
                _ => 0,
            };
            let state = &mut self.states[at];
            if token_ns > 0 {
                state.full_ns = state.full_ns.max(now_ns) + token_ns;
                continue;
            }
            state.times.push(now_ns);
            if self.bound == Bound::Lower {
                state.frees.push(state.next_ns);
            }
        }
        self.admitted += 1;
    }
}

/// The time of a token and the slack, of a bucket for the upper bound: the slack is taken from the
/// burst or, where that is too small for it, added to the time of each token.
fn upper(burst: i64, most_ns: i64, slack_ns: i64) -> (i64, i64) {
    if (burst - 1).saturating_mul(most_ns) >= slack_ns {
        (most_ns, slack_ns)
    } else {
        (most_ns.saturating_add(slack_ns), 0)
    }
}
