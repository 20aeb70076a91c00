//! Shared counters for Python.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rateproof_enforce as core;

use crate::enforce::failed;

/// Counts of decisions; see `rateproof.enforce.counters.Counters`.
#[pyclass(frozen, module = "rateproof._native")]
pub struct Counters(pub(crate) Arc<core::Counters>);

#[pymethods]
impl Counters {
    #[new]
    #[pyo3(signature = (path, alone=false))]
    fn new(py: Python<'_>, path: Option<PathBuf>, alone: bool) -> PyResult<Self> {
        py.detach(|| core::Counters::open(path.as_deref(), alone))
            .map(|counters| Self(Arc::new(counters)))
            .map_err(|error| failed(py, &error))
    }

    /// One more of `which`.
    fn add(&self, which: usize) -> PyResult<()> {
        if which >= core::COUNTS {
            return Err(PyIndexError::new_err("no such counter"));
        }
        self.0.add(which);
        Ok(())
    }

    /// Number of each.
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.totals())
    }
}
