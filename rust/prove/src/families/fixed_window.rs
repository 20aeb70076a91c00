//! Fixed windows: no window takes more than N.

use super::phases::{Family, Readings, Spent, Stuck, Work, each_piece, overfull};
use crate::seen::Seen;

pub(super) const NAME: &str = "fixed-window";

pub(super) fn search(jobs: &[Seen], family: &Family, budget: u64) -> Option<u64> {
    each_piece(jobs, family, budget, fits, false)
}

fn fits(
    readings: &Readings,
    family: &Family,
    phase: i64,
    _: &mut Work,
) -> Result<Option<Stuck>, Spent> {
    Ok(overfull(readings, family, phase))
}
