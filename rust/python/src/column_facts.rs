//! Facts of whole columns of a log, and of how its keys are shared out.

use std::collections::HashSet;

use pyo3::buffer::{Element, PyBuffer, ReadOnlyCell};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::raise;
use crate::seen_columns::{Column, NULL, Values};

/// Bits for each row, up to which a set of numbers is one bit for each that may be there.
const BITS_A_ROW: usize = 64;

fn ends<T: Element + Copy + Ord + Into<i64>>(
    numbers: &Values<'_, T>,
    rows: usize,
) -> Option<(i64, i64)> {
    let first = (rows > 0).then(|| numbers.at(0))?;
    let (low, high) = (1..rows).fold((first, first), |(low, high), row| {
        let number = numbers.at(row);
        (number.min(low), number.max(high))
    });
    Some((low.into(), high.into()))
}

/// Numbers or codes.
#[derive(FromPyObject)]
pub enum Stored {
    Numbers(PyBuffer<i64>),
    Codes(PyBuffer<i32>),
}

/// The least and the greatest; None where there is no row.
#[pyfunction]
pub fn extremes(py: Python<'_>, column: Stored) -> PyResult<Option<(i64, i64)>> {
    Ok(match column {
        Stored::Numbers(numbers) => {
            let rows = numbers.item_count();
            ends(&Column::Each(numbers).values(py, rows)?, rows)
        }
        Stored::Codes(codes) => {
            let rows = codes.item_count();
            ends(&Column::Each(codes).values(py, rows)?, rows)
        }
    })
}

/// Every number that some row has.
#[pyfunction]
pub fn distinct(py: Python<'_>, column: Column<i64>, rows: usize) -> PyResult<Vec<i64>> {
    let numbers = column.values(py, rows)?;
    let mut seen = HashSet::new();
    // Most columns of which this is asked have few numbers.
    let mut last = [None; 2];
    for row in 0..rows {
        let number = numbers.at(row);
        if last.contains(&Some(number)) {
            continue;
        }
        seen.insert(number);
        last = [Some(number), last[0]];
    }
    Ok(seen.into_iter().collect())
}

/// The first row that was answered less than so many ns after it was sent.
#[pyfunction]
pub fn first_short(
    py: Python<'_>,
    sent_ns: Column<i64>,
    received_ns: Column<i64>,
    rows: usize,
    least_ns: i64,
) -> PyResult<Option<usize>> {
    let (sent, received) = (sent_ns.values(py, rows)?, received_ns.values(py, rows)?);
    Ok((0..rows).find(|&row| {
        let end = received.at(row);
        end != NULL && end.saturating_sub(sent.at(row)) < least_ns
    }))
}

/// The first row with a number that is none or below 0; NaN stands for no number.
#[pyfunction]
pub fn first_below_0(py: Python<'_>, column: Column<f64>, rows: usize) -> PyResult<Option<usize>> {
    let numbers = column.values(py, rows)?;
    let is_fine = |number: f64| number.is_nan() || (0.0..f64::INFINITY).contains(&number);
    Ok((0..rows).find(|&row| !is_fine(numbers.at(row))))
}

/// The first row with the run and the number of one before it.
#[pyfunction]
pub fn first_repeated(
    py: Python<'_>,
    run: Column<i64>,
    sequence: Column<i64>,
    rows: usize,
) -> PyResult<Option<usize>> {
    let numbers = sequence.values(py, rows)?;
    let runs = run.values(py, rows)?;
    if let (Some(_), Some((low, high))) = (runs.same(), ends(&numbers, rows)) {
        let places = high.abs_diff(low) as usize;
        if places / BITS_A_ROW < rows {
            let mut seen = vec![0_u64; places / 64 + 1];
            return Ok((0..rows).find(|&row| {
                let place = numbers.at(row).abs_diff(low) as usize;
                let (word, bit) = (&mut seen[place / 64], 1 << (place % 64));
                let before = *word & bit != 0;
                *word |= bit;
                before
            }));
        }
    }
    let mut seen = HashSet::new();
    Ok((0..rows).find(|&row| !seen.insert((runs.at(row), numbers.at(row)))))
}

/// FNV-1a, mixed once more: the same on every machine and in every version.
pub fn digest(word: impl Iterator<Item = u8>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in word {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The part in which each word belongs, as bytes of 32-bit integers; `offsets` and `data` are
/// Arrow's: word n lies from offset n to the next.
#[pyfunction]
pub fn parts_of<'py>(
    py: Python<'py>,
    offsets: PyBuffer<i32>,
    data: PyBuffer<u8>,
    parts: u32,
) -> PyResult<Bound<'py, PyBytes>> {
    let (Some(bytes), Some(ends)) = (data.as_slice(py), offsets.as_slice(py)) else {
        return Err(raise(py, "InvalidArgument", "words in pieces", None));
    };
    let mut found = Vec::with_capacity(4 * ends.len());
    for pair in ends.windows(2) {
        let word = bytes.get(pair[0].get() as usize..pair[1].get() as usize);
        let Some(word) = word else {
            return Err(raise(
                py,
                "InvalidArgument",
                "a word that ends beyond the data",
                None,
            ));
        };
        let part =
            (u128::from(digest(word.iter().map(ReadOnlyCell::get))) * u128::from(parts)) >> 64;
        found.extend_from_slice(&(part as u32).to_ne_bytes());
    }
    Ok(PyBytes::new(py, &found))
}

/// The last of the parts that begins by the time of each row, or the first, as bytes of 32-bit integers.
#[pyfunction]
pub fn parts_by_time<'py>(
    py: Python<'py>,
    times: Column<i64>,
    rows: usize,
    begins: Vec<i64>,
) -> PyResult<Bound<'py, PyBytes>> {
    let times = times.values(py, rows)?;
    let mut found = Vec::with_capacity(4 * rows);
    for row in 0..rows {
        let part = begins.partition_point(|&begin| begin <= times.at(row));
        found.extend_from_slice(&(part.saturating_sub(1) as u32).to_ne_bytes());
    }
    Ok(PyBytes::new(py, &found))
}

/// The rows in the order of their parts, as bytes of 32-bit integers, and how many each part has.
/// Rows of one part stay in order.
#[pyfunction]
pub fn by_part<'py>(
    py: Python<'py>,
    part_of: PyBuffer<i32>,
    parts: usize,
) -> PyResult<(Bound<'py, PyBytes>, Vec<usize>)> {
    let rows = part_of.item_count();
    let of = Column::Each(part_of);
    let of = of.values(py, rows)?;
    let mut counts = vec![0_usize; parts];
    for row in 0..rows {
        let Some(count) = counts.get_mut(of.at(row) as u32 as usize) else {
            return Err(raise(py, "InvalidArgument", "a row without a part", None));
        };
        *count += 1;
    }
    let mut next: Vec<usize> = (counts.iter())
        .scan(0, |end, count| Some(std::mem::replace(end, *end + count)))
        .collect();
    let mut order = vec![0_u8; 4 * rows];
    for row in 0..rows {
        let at = &mut next[of.at(row) as u32 as usize];
        order[4 * *at..4 * *at + 4].copy_from_slice(&(row as u32).to_ne_bytes());
        *at += 1;
    }
    Ok((PyBytes::new(py, &order), counts))
}
