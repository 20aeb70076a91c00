//! `hit` and `peek` of `rateproof.Limiter`, without a Python frame where a decider can answer.
//!
//! Both are methods in the calling convention of C, since reading their arguments as PyO3 does
//! takes as long as deciding: `benchmarks/enforce.py decisions` has the figure.

use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString, PyTuple};

use crate::ask::Ask;
use crate::decider::Decider;
use crate::decision::Decision;
use crate::held::Held;

/// The base of `Limiter`: it holds the decider, from `decide_by` until `let_go`.
#[pyclass(frozen, subclass, module = "rateproof._native")]
pub struct HotLimiter(Held<Py<Decider>>);

#[pymethods]
impl HotLimiter {
    #[new]
    #[pyo3(signature = (*_args, **_named))]
    fn new(_args: &Bound<'_, PyTuple>, _named: Option<&Bound<'_, PyDict>>) -> Self {
        Self(Held::default())
    }

    /// From now on `hit` and `peek` are answered without Python where that is possible.
    fn decide_by(&self, py: Python<'_>, decider: Py<Decider>) {
        self.0.put(py, Some(decider));
    }

    /// Lets go of the decider, and of its tables.
    fn let_go(&self, py: Python<'_>) {
        self.0.put(py, None);
    }

    /// True if there is a decider.
    #[getter]
    fn decides(&self, py: Python<'_>) -> bool {
        self.0.with(py, |_| ()).is_some()
    }
}

impl HotLimiter {
    /// The decision about a key, counted; `None` if it is for the specification to decide.
    pub fn decide(
        &self,
        py: Python<'_>,
        ask: Ask,
        key: &[u8],
        cost: u64,
    ) -> PyResult<Option<Py<Decision>>> {
        let told = self
            .0
            .with(py, |held| held.get().at_once(py, ask, key, cost));
        match (told.flatten(), self.0.with(py, |held| held.clone_ref(py))) {
            (None, Some(decider)) => decider.get().patiently(py, ask, key, cost),
            (told, _) => Ok(told),
        }
    }

    /// `decide` for a call of (key) or (key, cost); `None` for all others, and for errors.
    ///
    /// PyO3 has not been told that the lock is held: an object that is dropped here goes later.
    #[inline]
    fn quickly(&self, ask: Ask, given: &[Borrowed<'_, '_, PyAny>]) -> Option<Py<Decision>> {
        let (key, cost) = match given {
            [key] => (key, 1),
            [key, cost] => (key, units(cost)?),
            _ => return None,
        };
        let (py, key) = (key.py(), bytes_of(key)?);
        self.0
            .with(py, |held| held.get().at_once(py, ask, key, cost))?
    }

    /// `decide` for every call: the method in Python is asked what the decider cannot tell.
    fn slowly<'py>(
        slf: &Bound<'py, Self>,
        ask: Ask,
        args: &Bound<'py, PyTuple>,
        named: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let given = |at, name| match args.get_item(at) {
            Ok(value) => Ok(Some(value)),
            Err(_) => named.get_item(name),
        };
        let (key, cost, policy) = (
            given(1, "key")?,
            given(2, "cost")?,
            named.get_item("policy")?,
        );
        let read = [&key, &cost, &policy].into_iter().flatten().count();
        if read + 1 == args.len() + named.len()
            && policy.is_none_or(|policy| policy.is_none())
            && let Some(bytes) = key.as_ref().and_then(bytes_of)
            && let Some(cost) = cost.as_ref().map_or(Some(1), units)
            && let Some(decision) = slf.get().decide(py, ask, bytes, cost)?
        {
            return Ok(decision.into_bound(py).into_any());
        }
        match IN_PYTHON[ask as usize].get(py) {
            Some(method) => method.bind(py).call(args, Some(named)),
            None => Err(PyValueError::new_err("no method in Python")),
        }
    }
}

/// The methods that decide everything else, by `Ask`.
static IN_PYTHON: [PyOnceLock<Py<PyAny>>; 2] = [const { PyOnceLock::new() }; 2];

/// Makes a method of `Limiter` one that asks the decider first; the one in Python keeps its place
/// in the documentation, and decides the rest.
#[pyfunction]
pub fn natively<'py>(method: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = method.py();
    let name: String = method.getattr("__name__")?.extract()?;
    let (ask, call): (_, ffi::PyCFunctionFastWithKeywords) = match name.as_str() {
        "hit" => (Ask::Hit, answer::<false>),
        "peek" => (Ask::Peek, answer::<true>),
        _ => return Err(PyValueError::new_err("hit or peek")),
    };
    IN_PYTHON[ask as usize].get_or_init(py, || method.clone().unbind());
    let said: String = method.getattr("__doc__")?.extract()?;
    let doc = format!("{name}($self, key, cost=1, *, policy=None)\n--\n\n{said}");
    // Types live as long as the process does.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: kept(name)?,
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: call,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: kept(doc)?,
    }));
    let class = py.get_type::<HotLimiter>();
    // SAFETY: the type is `HotLimiter`, which the descriptor checks of every `slf`.
    unsafe {
        let descriptor = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
        Bound::from_owned_ptr_or_err(py, descriptor)
    }
}

fn kept(text: String) -> PyResult<*const c_char> {
    Ok(CString::new(text)?.into_raw())
}

/// `hit` or `peek`, as the interpreter calls it.
///
/// # Safety
/// The interpreter's lock is held, `slf` is a `HotLimiter`, and there are `count` objects at
/// `args`, followed by one for each of the `names`, a tuple or null.
unsafe extern "C" fn answer<const PEEK: bool>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let ask = if PEEK { Ask::Peek } else { Ask::Hit };
    let answered = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as above; the objects live until the call returns.
        let (py, limiter) = unsafe {
            let py = Python::assume_attached();
            (
                py,
                Borrowed::from_ptr(py, slf).cast_unchecked::<HotLimiter>(),
            )
        };
        let given = |at: usize| unsafe { Borrowed::from_ptr(py, *args.add(at)) };
        let told = match (names.is_null(), count) {
            (true, 1) => limiter.get().quickly(ask, &[given(0)]),
            (true, 2) => limiter.get().quickly(ask, &[given(0), given(1)]),
            _ => None,
        };
        if let Some(decision) = told {
            return Ok(decision.into_ptr());
        }
        Python::attach(|py| {
            let count = count as usize;
            let args = PyTuple::new(
                py,
                std::iter::once(limiter.as_any().to_owned())
                    .chain((0..count).map(|at| given(at).to_owned()))
                    .collect::<Vec<_>>(),
            )?;
            let named = PyDict::new(py);
            if !names.is_null() {
                let names = unsafe { Borrowed::from_ptr(py, names).cast_unchecked::<PyTuple>() };
                for (at, name) in names.iter().enumerate() {
                    named.set_item(name, given(count + at))?;
                }
            }
            HotLimiter::slowly(&limiter, ask, &args, &named).map(Bound::into_ptr)
        })
    }));
    let error = match answered {
        Ok(Ok(told)) => return told,
        Ok(Err(error)) => error,
        Err(_) => PanicException::new_err("panic from Rust code"),
    };
    Python::attach(|py| error.restore(py));
    std::ptr::null_mut()
}

/// The bytes of a key that is what it should be.
#[inline]
fn bytes_of<'a>(key: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    // A subclass of str takes the longer way of asking for its flags.
    let text = key.cast_exact::<PyString>().or_else(|_| key.cast());
    if let Ok(text) = text {
        return text.to_str().ok().map(str::as_bytes);
    }
    key.cast::<PyBytes>().ok().map(|bytes| bytes.as_bytes())
}

/// A cost that is what it should be; how much it may be, the decider knows.
#[inline]
fn units(cost: &Bound<'_, PyAny>) -> Option<u64> {
    cost.cast_exact::<PyInt>().ok()?.extract().ok()
}
