//! The feasibility checker for Python.

use pyo3::prelude::*;

/// Adds this file's functions to the module.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
