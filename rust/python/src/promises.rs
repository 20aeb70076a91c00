//! The outcome of header fields, for Python.

use pyo3::prelude::*;
use rateproof_prove::{Groups, Promised, Sayings, Terms, promises};

use crate::prove::cut;

/// The question asked of every key; `known_after_ns` is `rateproof.prove.headers.headers_of`'s.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Asked {
    ppm: u32,
    granularity_ns: i128,
    denied_count: bool,
    hard_reset: bool,
    known_after_ns: Option<i64>,
    most: usize,
}

/// Number judged, by rule, number of them broken, and rule, said and seen of those.
pub type Found = ([u64; 4], u64, Vec<(usize, u32, u32)>);

/// The statements that came true and those that did not, on at most so many threads.
pub fn broken(
    py: Python<'_>,
    groups: &mut Groups,
    sayings: &Sayings,
    asked: &Asked,
    threads: usize,
) -> Found {
    let asked = Promised {
        terms: Terms {
            ppm: asked.ppm,
            granularity_ns: cut(asked.granularity_ns),
            denied_count: asked.denied_count,
            hard_reset: asked.hard_reset,
        },
        known_after: asked.known_after_ns,
        most: asked.most,
    };
    let found = py.detach(|| promises(groups, sayings, asked, threads));
    let first = found.first.iter();
    let first = first.map(|(_, one)| (one.rule, one.said, one.seen));
    (found.judged, found.broken, first.collect())
}
