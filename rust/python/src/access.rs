//! The scanner of access logs for Python.

use std::thread::available_parallelism;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rateproof_access::{Kind, Program, Reach, Scanner, Step, Tree};

use crate::errors::raise;

/// From so many bytes on a piece is read by two threads, where there are two processors.
const LARGE: usize = 1 << 20;

/// Kind, nanoseconds of its unit, what follows it.
type StepFigures = (String, i64, Vec<u8>);

/// Runs a format on the lines of an access log; see `rateproof.events.access_logs`.
#[pyclass(module = "rateproof._native")]
pub struct AccessScanner {
    scanner: Scanner,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Asked {
    prefix: Vec<u8>,
    steps: Vec<StepFigures>,
    open: bool,
    escaped: bool,
    paths: Vec<Vec<Vec<u8>>>,
    groups: Vec<Vec<usize>>,
    hashed: Vec<usize>,
    before: bool,
    after: bool,
    longest_ns: i64,
    slack_ns: i64,
}

#[derive(IntoPyObject)]
struct Scanned<'py> {
    sent_ns: Bound<'py, PyBytes>,
    received_ns: Bound<'py, PyBytes>,
    status: Bound<'py, PyBytes>,
    line: Bound<'py, PyBytes>,
    groups: Vec<(Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>)>,
    hashes: Vec<Bound<'py, PyBytes>>,
    lines: u64,
    strange: u64,
    shown: Vec<(u64, Bound<'py, PyBytes>)>,
    done_ns: i64,
    back_ns: i64,
    back_line: u64,
    step_ns: i64,
    longest_ns: i64,
    untimed: u64,
    local: u64,
    cut: u64,
    turned: Option<(u64, Bound<'py, PyBytes>)>,
}

#[pymethods]
impl AccessScanner {
    #[new]
    fn new(py: Python<'_>, asked: Asked) -> PyResult<Self> {
        let steps = asked.steps.into_iter().map(|(kind, unit, until)| {
            let kind = kind_of(&kind, unit).ok_or_else(|| bad(py, &format!("kind {kind:?}")))?;
            Ok(Step { kind, until })
        });
        let program = Program {
            prefix: asked.prefix,
            steps: steps.collect::<PyResult<_>>()?,
            open: asked.open,
            escaped: asked.escaped,
            tree: (!asked.paths.is_empty()).then(|| Tree::new(&asked.paths)),
        };
        let reach = Reach {
            before: asked.before,
            after: asked.after,
            longest_ns: asked.longest_ns,
            slack_ns: asked.slack_ns,
        };
        let scanner = Scanner::new(program, asked.groups, reach)
            .and_then(|scanner| scanner.hashing(asked.hashed));
        let scanner = scanner.map_err(|problem| bad(py, &problem))?;
        let alone = available_parallelism().is_ok_and(|count| count.get() == 1);
        let large = if alone { usize::MAX } else { LARGE };
        Ok(Self {
            scanner: scanner.side_by_side(large),
        })
    }

    /// Reads the next bytes of the log.
    fn feed(&mut self, py: Python<'_>, batch: &[u8]) {
        py.detach(|| self.scanner.feed(batch));
    }

    /// Reads the last line of a file, if it lacks its end; the lines that there were so far.
    fn end(&mut self) -> u64 {
        self.scanner.end();
        self.scanner.number()
    }

    /// Rows since they were last taken.
    fn held(&self) -> usize {
        self.scanner.held()
    }

    /// Gives what was found since the last time; `keep`: words of the first group keep their codes,
    /// and only new ones are given.
    fn take<'py>(&mut self, py: Python<'py>, keep: bool) -> Scanned<'py> {
        let found = self.scanner.take();
        let words = |group| {
            self.scanner
                .words(group)
                .map(|word| PyBytes::new(py, word))
                .collect()
        };
        let groups = (found.groups.iter().enumerate())
            .map(|(group, codes)| (column(py, codes), words(group)))
            .collect();
        self.scanner.pass_on();
        self.scanner.forget(usize::from(keep));
        let shown = |(number, line): &rateproof_access::Line| (*number, PyBytes::new(py, line));
        Scanned {
            sent_ns: column(py, &found.sent),
            received_ns: column(py, &found.received),
            status: column(py, &found.status),
            line: column(py, &found.line),
            groups,
            hashes: (found.hashes.iter()).map(|one| column(py, one)).collect(),
            lines: found.lines,
            strange: found.strange,
            shown: found.shown.iter().map(&shown).collect(),
            done_ns: found.done_ns,
            back_ns: found.back_ns,
            back_line: found.back_line,
            step_ns: found.step_ns,
            longest_ns: found.longest_ns,
            untimed: found.untimed,
            local: found.local,
            cut: found.cut,
            turned: found.turned.as_ref().map(shown),
        }
    }
}

fn kind_of(name: &str, unit: i64) -> Option<Kind> {
    Some(match name {
        "text" => Kind::Text,
        "list" => Kind::List,
        "number" => Kind::Number,
        "status" => Kind::Status,
        "clf" => Kind::Clf,
        "iso" => Kind::Iso,
        "day" => Kind::Day,
        "clock" => Kind::Clock,
        "began" => Kind::Began,
        "instant" if unit > 0 => Kind::Instant(unit),
        "epoch" if unit > 0 => Kind::Epoch(unit),
        "duration" if unit > 0 => Kind::Duration(unit),
        _ => return None,
    })
}

/// The numbers of every row, in native byte order.
pub fn column<'py, T: Copy>(py: Python<'py>, values: &[T]) -> Bound<'py, PyBytes> {
    // SAFETY: the callers' integers and floats have no padding, and any byte is a valid u8.
    let bytes =
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    PyBytes::new(py, bytes)
}

fn bad(py: Python<'_>, problem: &str) -> PyErr {
    raise(
        py,
        "InvalidArgument",
        &format!("scanner of access logs: {problem}"),
        Some("see rateproof.events.access_logs"),
    )
}
