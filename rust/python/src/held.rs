//! A value that comes and goes under the interpreter's lock, and costs nothing to look at.

use std::cell::UnsafeCell;

use pyo3::prelude::*;

/// A value that is reached only with the interpreter's lock.
pub struct Held<T>(UnsafeCell<Option<T>>);

// SAFETY: every method takes the proof that the lock is held, and there is one, for the module
// declares that it needs it (`gil_used`): `put` returns at once, and what `with` calls keeps it.
unsafe impl<T: Send> Sync for Held<T> {}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(UnsafeCell::new(None))
    }
}

impl<T> Held<T> {
    /// Calls with the value that there is. `call` runs no Python and keeps the lock.
    #[inline]
    pub fn with<U>(&self, _py: Python<'_>, call: impl FnOnce(&T) -> U) -> Option<U> {
        // SAFETY: nobody can put another one until `call` has returned.
        unsafe { &*self.0.get() }.as_ref().map(call)
    }

    /// Puts another value, and hands out the one before: what it does when it goes comes later.
    #[inline]
    pub fn put(&self, _py: Python<'_>, value: Option<T>) -> Option<T> {
        // SAFETY: nobody is within `with`.
        unsafe { std::mem::replace(&mut *self.0.get(), value) }
    }
}
