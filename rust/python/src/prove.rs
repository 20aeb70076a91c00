//! The feasibility checker for Python.

use pyo3::prelude::*;
use rateproof_prove::{Answer, Log, MAX_POSITIONS, Stair};

use crate::errors::raise;

/// width, lag, rise_num, rise_den, slack_ns.
pub type StairFigures = (usize, usize, i128, i128, i128);

/// Times are signed 64-bit nanoseconds in native byte order, one a job.
#[pyfunction]
pub fn feasible(
    py: Python<'_>,
    sent: &[u8],
    received: &[u8],
    stairs: Vec<StairFigures>,
    budget: u64,
) -> PyResult<(&'static str, Vec<i64>, u64)> {
    let (sent, received) = intervals(py, sent, received)?;
    let stairs = stairs
        .into_iter()
        .map(|figures| stair(py, figures))
        .collect::<PyResult<Vec<_>>>()?;
    Ok(
        match py.detach(|| rateproof_prove::feasible(&sent, &received, &stairs, budget)) {
            Answer::Feasible { instants, spent } => ("feasible", instants, spent),
            Answer::Infeasible { core, spent } => {
                let core = core.into_iter().map(|job| job as i64).collect();
                ("infeasible", core, spent)
            }
            Answer::Exhausted { spent } => ("exhausted", Vec::new(), spent),
        },
    )
}

/// limit, low_ns and high_ns of each.
pub fn logs(figures: Vec<(usize, i128, i128)>) -> Vec<Log> {
    let log = |(limit, low_ns, high_ns)| Log {
        limit,
        low_ns: cut(low_ns),
        high_ns: cut(high_ns),
    };
    figures.into_iter().map(log).collect()
}

/// A time, cut down to one that no log is as long as.
pub fn cut(ns: i128) -> i64 {
    ns.clamp(0, 1 << 61) as i64
}

fn intervals(py: Python<'_>, sent: &[u8], received: &[u8]) -> PyResult<(Vec<i64>, Vec<i64>)> {
    let (sent, received) = (times(py, sent)?, times(py, received)?);
    if sent.len() != received.len() || sent.len() >= MAX_POSITIONS {
        let message = format!("{} starts and {} ends", sent.len(), received.len());
        let hint = Some("one end for each start");
        return Err(raise(py, "InvalidArgument", &message, hint));
    }
    Ok((sent, received))
}

fn times(py: Python<'_>, bytes: &[u8]) -> PyResult<Vec<i64>> {
    if !bytes.len().is_multiple_of(8) {
        let message = format!("{} bytes of times", bytes.len());
        return Err(raise(py, "InvalidArgument", &message, Some("8 bytes each")));
    }
    let number = |chunk: &[u8]| i64::from_ne_bytes(chunk.try_into().expect("chunks of 8"));
    Ok(bytes.chunks_exact(8).map(number).collect())
}

pub fn stair(py: Python<'_>, figures: StairFigures) -> PyResult<Stair> {
    let (width, lag, rise_num, rise_den, slack_ns) = figures;
    Stair::new(width, lag, rise_num, rise_den, slack_ns).ok_or_else(|| {
        raise(
            py,
            "InvalidArgument",
            &format!("stair {figures:?}"),
            Some("width and rise_den are 1 or more, nothing is negative or above 2**82"),
        )
    })
}
