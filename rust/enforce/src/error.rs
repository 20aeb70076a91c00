//! Errors, by the names that Python raises.

use std::fmt;
use std::panic;

/// An error of the table: a message that names the bad value, and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The branch of the tree that it belongs to.
    pub kind: ErrorKind,
    /// The fault, naming the value.
    pub message: String,
    /// The accepted form, or what to do next.
    pub hint: String,
}

/// The branch that an [`Error`] belongs to: the class of that name in `rateproof.errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A value that cannot be accepted.
    InvalidArgument,
    /// A cost above the limit.
    NeverPossible,
    /// The storage failed.
    StoreError,
    /// The storage belongs to something else.
    StoreMismatch,
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message, hint)
    }

    pub(crate) fn store(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreError, message, hint)
    }

    pub(crate) fn mismatch(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreMismatch, message, hint)
    }

    pub(crate) fn new(
        kind: ErrorKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.message, self.hint)
    }
}

impl std::error::Error for Error {}

/// Contents that no table can hold.
pub(crate) struct Damage;

/// Gives up a call deep inside that met such contents; `calls::guarded` tells the caller.
pub(crate) fn damaged() -> ! {
    panic::resume_unwind(Box::new(Damage))
}
