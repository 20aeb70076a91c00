//! The search over the windows of a limiter, for Python.

use pyo3::prelude::*;
use rateproof_prove::{Algorithm, Family, Windows};

use crate::errors::raise;
use crate::prove::intervals;

/// algorithm, limit, window_ns, ppm, granularity_ns.
pub type FamilyFigures = (String, usize, i64, i64, i64);

/// Adds this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(search_windows, module)?)
}

/// Times as for `feasible`.
#[pyfunction]
fn search_windows(
    py: Python<'_>,
    sent: &[u8],
    received: &[u8],
    family: FamilyFigures,
    budget: u64,
) -> PyResult<(&'static str, Vec<usize>, u64)> {
    let (sent, received) = intervals(py, sent, received)?;
    let family = self::family(py, family)?;
    let search = || rateproof_prove::search_windows(&sent, &received, &family, budget);
    Ok(match py.detach(search) {
        Windows::Explained { spent } => ("explained", Vec::new(), spent),
        Windows::Infeasible { core, spent } => ("infeasible", core, spent),
        Windows::Exhausted { spent } => ("exhausted", Vec::new(), spent),
    })
}

pub fn family(py: Python<'_>, figures: FamilyFigures) -> PyResult<Family> {
    let (name, limit, window_ns, ppm, granularity_ns) = &figures;
    let algorithm = match name.as_str() {
        "fixed-window" => Some(Algorithm::FixedWindow),
        "sliding-counter" => Some(Algorithm::SlidingCounter),
        "first-hit-window" => Some(Algorithm::FirstHitWindow),
        _ => None,
    };
    algorithm
        .and_then(|known| Family::new(known, *limit, *window_ns, *ppm, *granularity_ns))
        .ok_or_else(|| {
            raise(
                py,
                "InvalidArgument",
                &format!("family {figures:?}"),
                Some("a known algorithm, at most 100000 ppm, times below 2**61"),
            )
        })
}
