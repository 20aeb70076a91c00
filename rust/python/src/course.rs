//! A key that does not fit in memory, for Python.

use pyo3::prelude::*;
use rateproof_prove::{Course as Explained, Sayings};

use crate::prove::{StairFigures, logs, stair};
use crate::seen_columns::Columns;

/// The requests of one key, explained as they come.
#[pyclass(module = "rateproof._native")]
pub struct Course {
    course: Explained,
}

#[pymethods]
impl Course {
    #[new]
    fn new(
        py: Python<'_>,
        stairs: Vec<StairFigures>,
        requests: usize,
        quotas: Vec<(usize, i128, i128)>,
        judged: (i64, i64),
    ) -> PyResult<Self> {
        let stairs = (stairs.into_iter()).map(|figures| stair(py, figures));
        let stairs = stairs.collect::<PyResult<Vec<_>>>()?;
        let course = Explained::new(&stairs, requests, logs(quotas), judged);
        Ok(Self { course })
    }

    /// Goes on with the requests of a log, none of which was sent before those of one before.
    fn go_on(&mut self, py: Python<'_>, columns: Columns) -> PyResult<()> {
        let table = columns.table(py)?;
        let course = &mut self.course;
        table.each(py, &mut Sayings::default(), |row, _| course.show(row))?;
        py.detach(|| course.go_on(false));
        Ok(())
    }

    /// True if all admissions are explained, and whether all rejections are with them.
    fn explained(&mut self, py: Python<'_>) -> (bool, bool) {
        py.detach(|| self.course.go_on(true));
        self.course.explained()
    }
}
