//! The columns of a log as the prover reads them, without an object for a row.

use pyo3::buffer::{Element, PyBuffer, ReadOnlyCell};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use rateproof_prove::{Fields, Kind, Row, Said, Sayings};

use crate::column_facts::digest;
use crate::errors::raise;

/// Rows that are read at a time; in between, other threads of Python may run.
pub const BLOCK: usize = 1 << 16;

/// Stand-in for None among integers; among floats it is NaN.
pub const NULL: i64 = i64::MIN;

/// The stand-in for None among the bits of floats.
const NO_SECONDS: u64 = u64::MAX;

/// The fields of an answer that has none.
const SILENT: Fields = [NO_SECONDS, NULL as u64, NO_SECONDS];

/// Longer than any log lasts.
const LONGEST_NS: f64 = (1_i64 << 61) as f64;

/// The answer of a server that fails, unless the limiter marked it; any other by which it says
/// no is a mark by itself.
const UNAVAILABLE: i64 = 503;

/// One value for all rows, or a buffer with one for each.
pub enum Column<T: Element> {
    Same(T),
    Each(PyBuffer<T>),
}

impl<'a, 'py, T: Element + FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Column<T> {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match given.extract() {
            Ok(value) => Ok(Self::Same(value)),
            Err(_) => Ok(Self::Each(PyBuffer::get(&given)?)),
        }
    }
}

/// The same, to read from: no cells where all rows have one value.
#[derive(Clone, Copy)]
pub struct Values<'a, T: Element> {
    cells: &'a [ReadOnlyCell<T>],
    same: T,
}

impl<T: Element + Copy + Default> Column<T> {
    pub fn values<'a>(&'a self, py: Python<'a>, rows: usize) -> PyResult<Values<'a, T>> {
        let (cells, same) = match self {
            Self::Same(value) => (&[][..], *value),
            Self::Each(buffer) => match buffer.as_slice(py) {
                Some(cells) if cells.len() == rows => (cells, T::default()),
                _ => return Err(bad(py, "a column in pieces or of another length")),
            },
        };
        Ok(Values { cells, same })
    }
}

impl<T: Element + Copy> Values<'_, T> {
    /// The value of a row, which is one of the log.
    #[inline]
    pub fn at(&self, row: usize) -> T {
        self.cells.get(row).map_or(self.same, ReadOnlyCell::get)
    }

    /// The value of all rows; None where each has its own.
    pub fn same(&self) -> Option<T> {
        self.cells.is_empty().then_some(self.same)
    }
}

/// The columns of a log. `words` are its keys; `kinds` has 0 admitted, 1 rejected or 2 unknown for each code of an
/// outcome, `refused` whether a code of an error says that nothing was sent, `marked` whether
/// the limiter marks its rejections, where that is not to be seen from the log.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Columns {
    pub rows: usize,
    words: Py<PyList>,
    marked: Option<bool>,
    key: Column<i32>,
    outcome: Column<i32>,
    kinds: Vec<u8>,
    error: Column<i32>,
    refused: Vec<u8>,
    sent_ns: Column<i64>,
    received_ns: Column<i64>,
    done_ns: Column<i64>,
    status: Column<i64>,
    retry_after_s: Column<f64>,
    ratelimit_remaining: Column<i64>,
    ratelimit_reset_s: Column<f64>,
}

/// A log to read row by row; `rateproof.prove.keys` says what a row means.
pub struct Table<'a> {
    pub rows: usize,
    key: Values<'a, i32>,
    outcome: Values<'a, i32>,
    kinds: &'a [u8],
    error: Values<'a, i32>,
    refused: &'a [u8],
    sent_ns: Values<'a, i64>,
    received_ns: Values<'a, i64>,
    done_ns: Values<'a, i64>,
    status: Values<'a, i64>,
    retry_after_s: Values<'a, f64>,
    ratelimit_remaining: Values<'a, i64>,
    ratelimit_reset_s: Values<'a, f64>,
    /// True if the limiter is seen to mark its rejections.
    pub marked: bool,
}

impl Columns {
    /// The digest of each key, by code.
    pub fn digests(&self, py: Python<'_>) -> Vec<u64> {
        let words = self.words.bind(py).iter();
        // A word that is none has no rows.
        let bytes = |word: Bound<'_, PyAny>| match word.cast::<PyBytes>() {
            Ok(word) => digest(word.as_bytes().iter().copied()),
            Err(_) => 0,
        };
        words.map(bytes).collect()
    }

    pub fn table<'a>(&'a self, py: Python<'a>) -> PyResult<Table<'a>> {
        let rows = self.rows;
        let mut table = Table {
            rows,
            key: self.key.values(py, rows)?,
            outcome: self.outcome.values(py, rows)?,
            kinds: &self.kinds,
            error: self.error.values(py, rows)?,
            refused: &self.refused,
            sent_ns: self.sent_ns.values(py, rows)?,
            received_ns: self.received_ns.values(py, rows)?,
            done_ns: self.done_ns.values(py, rows)?,
            status: self.status.values(py, rows)?,
            retry_after_s: self.retry_after_s.values(py, rows)?,
            ratelimit_remaining: self.ratelimit_remaining.values(py, rows)?,
            ratelimit_reset_s: self.ratelimit_reset_s.values(py, rows)?,
            marked: false,
        };
        let seen = |row| {
            let other = ![NULL, UNAVAILABLE].contains(&table.status.at(row));
            (other || table.says(row)) && table.kind(row) == Kind::Rejected
        };
        table.marked = (self.marked).unwrap_or_else(|| (0..rows).any(seen));
        Ok(table)
    }
}

impl Table<'_> {
    /// Shows the code of every row's key, or stops at the first that is none.
    pub fn each_key(&self, py: Python<'_>, mut show: impl FnMut(usize) -> bool) -> PyResult<bool> {
        self.in_blocks(py, |start, end| {
            (start..end).all(|row| show(self.key.at(row) as u32 as usize))
        })
    }

    /// Shows every row and the number of what its answer says, or stops at the first that was
    /// sent at no time.
    pub fn each(
        &self,
        py: Python<'_>,
        sayings: &mut Sayings,
        mut show: impl FnMut(&Row, u32),
    ) -> PyResult<bool> {
        let silent = self.retry_after_s.same().is_some_and(f64::is_nan)
            && self.ratelimit_remaining.same() == Some(NULL);
        self.in_blocks(py, |start, end| {
            for row in start..end {
                let sent_ns = self.sent_ns.at(row);
                if sent_ns == NULL {
                    return false;
                }
                let fields = if silent { SILENT } else { self.fields(row) };
                // Compared together, they would have to be read from where they were just written.
                let says = (fields[0] != SILENT[0]) | (fields[1] != SILENT[1]);
                let received_ns = self.received_ns.at(row);
                let mut kind = self.kind(row);
                let bare = self.marked
                    & (kind == Kind::Rejected)
                    & !says
                    & (self.status.at(row) == UNAVAILABLE);
                if (received_ns == NULL) | bare {
                    kind = Kind::Unknown;
                }
                let seen = Row {
                    key: self.key.at(row) as u32 as usize,
                    kind,
                    sent_ns,
                    end_ns: self.end_ns(row, received_ns),
                };
                let said = if says {
                    sayings.number(fields, said)
                } else {
                    0
                };
                show(&seen, said);
            }
            true
        })
    }

    /// Instant at which a request was answered or had failed; None where nobody knows.
    #[inline]
    fn end_ns(&self, row: usize, received_ns: i64) -> Option<i64> {
        match received_ns {
            NULL if self.refused.get(self.error.at(row) as u32 as usize) == Some(&1) => None,
            NULL => Some(self.done_ns.at(row)).filter(|&end_ns| end_ns != NULL),
            _ => Some(received_ns),
        }
    }

    /// Shows all rows, from one to another, for as long as they please.
    fn in_blocks(
        &self,
        py: Python<'_>,
        mut show: impl FnMut(usize, usize) -> bool,
    ) -> PyResult<bool> {
        for start in (0..self.rows).step_by(BLOCK) {
            if !show(start, self.rows.min(start + BLOCK)) {
                return Ok(false);
            }
            py.detach(|| ());
            py.check_signals()?;
        }
        Ok(true)
    }

    /// The header fields of an answer, as they are stored.
    #[inline]
    fn fields(&self, row: usize) -> Fields {
        let bits = |seconds: f64| match seconds.is_nan() {
            true => NO_SECONDS,
            false => seconds.to_bits(),
        };
        [
            bits(self.retry_after_s.at(row)),
            self.ratelimit_remaining.at(row) as u64,
            bits(self.ratelimit_reset_s.at(row)),
        ]
    }

    /// The kind of a row's answer by itself, and how long it took: see `crate::answers`.
    #[inline]
    pub fn answer(&self, row: usize, run: i64) -> ((i64, i64, i32, i32, bool, bool), i64) {
        let received_ns = self.received_ns.at(row);
        let answered = received_ns != NULL;
        let took_ns = received_ns.saturating_sub(self.sent_ns.at(row));
        let codes = (self.outcome.at(row), self.error.at(row));
        (
            (
                run,
                self.status.at(row),
                codes.0,
                codes.1,
                self.says(row),
                answered,
            ),
            if answered { took_ns } else { NULL },
        )
    }

    /// True if the answer of a row has a header field that can be held against others.
    pub fn says(&self, row: usize) -> bool {
        !self.retry_after_s.at(row).is_nan() || self.ratelimit_remaining.at(row) != NULL
    }

    fn kind(&self, row: usize) -> Kind {
        match self.kinds.get(self.outcome.at(row) as u32 as usize) {
            Some(0) => Kind::Admitted,
            Some(1) => Kind::Rejected,
            _ => Kind::Unknown,
        }
    }
}

/// The statements in the header fields of an answer.
fn said([retry, remaining, reset]: Fields) -> Said {
    let ns = |bits: u64| {
        let cut = (f64::from_bits(bits).max(0.0) * 1e9).min(LONGEST_NS);
        (bits != NO_SECONDS).then(|| cut.round_ties_even() as i64)
    };
    let remaining = remaining as i64;
    Said {
        retry_after: ns(retry),
        remaining: (remaining != NULL).then_some(remaining),
        reset: ns(reset),
    }
}

fn bad(py: Python<'_>, problem: &str) -> PyErr {
    raise(
        py,
        "InvalidArgument",
        problem,
        Some("one value for each row"),
    )
}
