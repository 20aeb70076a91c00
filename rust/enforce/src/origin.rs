//! The origin of a table's times: a boot of the machine, and a clock of it.

use std::fmt;
use std::fs;

/// The offset of a clock that this process cannot tell.
const UNKNOWN: i64 = i64::MIN;

/// The boot and the time namespace of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The identity of the boot, 0 where there is none to be had.
    pub(crate) boot: [u64; 2],
    /// The number of the time namespace, 0 where the kernel has none.
    pub(crate) namespace: u64,
    /// Lead of its CLOCK_MONOTONIC over the machine's, in nanoseconds.
    pub(crate) offset_ns: i64,
}

impl Origin {
    /// Of this process.
    pub(crate) fn here() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = boot.trim().chars().filter(|c| *c != '-').collect();
        let id = u128::from_str_radix(&digits, 16).unwrap_or(0);
        let namespace = number("/proc/self/ns/time");
        // The offsets are those of the children: of a process that has unshared itself, others.
        let own = namespace == number("/proc/self/ns/time_for_children");
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        Self {
            boot: [(id >> 64) as u64, id as u64],
            namespace,
            offset_ns: if own { offset_ns(&offsets) } else { UNKNOWN },
        }
    }

    /// True if the times of a table of `self` mean nothing here: they are of another boot.
    pub(crate) fn is_over(&self, here: &Self) -> bool {
        self.boot != here.boot && self.boot != [0, 0] && here.boot != [0, 0]
    }

    /// True if both read the same clock.
    pub(crate) fn agrees(&self, here: &Self) -> bool {
        match (self.offset_ns, here.offset_ns) {
            (UNKNOWN, _) | (_, UNKNOWN) => self.namespace == here.namespace,
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "time namespace {}", self.namespace)?;
        match self.offset_ns {
            UNKNOWN => Ok(()),
            offset => write!(out, " (clock {:+} s)", offset as f64 / 1e9),
        }
    }
}

/// The number in a link such as `time:[4026531834]`.
fn number(path: &str) -> u64 {
    let link = fs::read_link(path).unwrap_or_default();
    let text = link.to_string_lossy();
    let digits = text.trim_start_matches("time:[").trim_end_matches(']');
    digits.parse().unwrap_or(0)
}

/// The offset of CLOCK_MONOTONIC in lines of a clock, seconds and nanoseconds; 0 without any.
fn offset_ns(lines: &str) -> i64 {
    let line = lines.lines().find(|line| line.starts_with("monotonic"));
    let figures = line.unwrap_or_default().split_whitespace().skip(1);
    let figures: Vec<i64> = figures.map_while(|figure| figure.parse().ok()).collect();
    match figures[..] {
        [seconds, nanos] => seconds.saturating_mul(1_000_000_000).saturating_add(nanos),
        _ => 0,
    }
}
