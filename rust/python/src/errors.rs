//! Rust errors become rateproof's own exceptions, never a panic.

use pyo3::prelude::*;

/// Builds `rateproof.errors.<class>(message, hint)`.
pub fn raise(py: Python<'_>, class: &str, message: &str, hint: Option<&str>) -> PyErr {
    let build = || -> PyResult<Bound<'_, PyAny>> {
        py.import("rateproof.errors")?
            .getattr(class)?
            .call1((message, hint))
    };
    match build() {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
