//! Could any windows have admitted these? The twin of `rateproof.prove.over_admission.families`,
//! which is the specification: what is cleared here is explained there, for the same work.

mod first_hit_window;
mod fixed_window;
mod phases;
mod sliding_counter;

pub use phases::{Clearance, Family, Search};

/// The family of an algorithm, or None where a figure is out of bounds. One that is not known
/// here clears nothing.
pub fn family(
    algorithm: &str,
    limit: usize,
    window_ns: i64,
    ppm: i64,
    granularity_ns: i64,
) -> Option<Family> {
    let known: (Option<Search>, bool, bool) = match algorithm {
        fixed_window::NAME => (Some(fixed_window::search), true, false),
        sliding_counter::NAME => (Some(sliding_counter::search), true, true),
        first_hit_window::NAME => (Some(first_hit_window::search), false, false),
        _ => (None, true, false),
    };
    Family::new(known, limit, window_ns, ppm, granularity_ns)
}
