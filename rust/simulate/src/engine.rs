//! A run: event loops on threads of their own, and the rows that they record.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::audit::Audit;
use crate::clock::monotonic_ns;
use crate::control::Control;
use crate::pacer::Pacer;
use crate::rows::{Reader, Row, recorders};
use crate::settings::Settings;
use crate::slice;
use crate::worker::{Shared, Worker};

/// A run that goes on.
pub struct Engine {
    /// Shared by its loops: the scenario, and what may be asked of it while it goes on.
    pub shared: Arc<Shared>,
    reader: Mutex<Reader>,
    threads: Mutex<Vec<JoinHandle<io::Result<Audit>>>>,
    // One that is gone, not opened, says that there will be no start.
    gates: Mutex<Vec<Sender<()>>>,
}

impl Engine {
    /// Starts every loop, and waits until all are ready: requests come after [`Engine::begin`].
    ///
    /// # Errors
    /// The system has no descriptor or thread left for a loop.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let loops = settings.loops;
        let shared = Arc::new(Shared {
            pacer: settings.pace_ns.map(Pacer::new),
            settings,
            control: Control::default(),
            sequences: AtomicI64::new(0),
            connections: AtomicI64::new(1),
            active: AtomicI64::new(0),
            start_ns: AtomicI64::new(0),
        });
        let (recorders, reader) = recorders(loops);
        let workers = recorders
            .into_iter()
            .enumerate()
            .map(|(number, recorder)| Worker::new(Arc::clone(&shared), number, recorder))
            .collect::<io::Result<Vec<_>>>()?;
        let (ready, all_ready) = channel();
        let mut gates = Vec::with_capacity(loops);
        let mut threads = Vec::with_capacity(loops);
        for (number, worker) in workers.into_iter().enumerate() {
            let others = Arc::clone(&shared);
            let (gate, opened) = channel();
            gates.push(gate);
            let ready = ready.clone();
            let start = move || {
                let _ = ready.send(());
                drop(ready);
                opened.recv().is_ok()
            };
            let thread = Builder::new()
                .name(format!("load-{number}"))
                .spawn(move || {
                    slice::shorten();
                    let ended = catch_unwind(AssertUnwindSafe(|| worker.run(start)))
                        .unwrap_or_else(|_| Err(io::Error::other("an event loop panicked")));
                    if ended.is_err() {
                        // Where one loop cannot go on, the others would hide that.
                        others.control.stop();
                    }
                    ended
                })?;
            threads.push(thread);
        }
        drop(ready);
        if all_ready.iter().take(loops).count() < loops {
            gates.clear();
        }
        Ok(Self {
            shared,
            reader: Mutex::new(reader),
            threads: Mutex::new(threads),
            gates: Mutex::new(gates),
        })
    }

    /// Begins the run at a monotonic instant, or at once where that has passed.
    pub fn begin(&self, start_ns: i64) {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let start_ns = monotonic_ns().max(start_ns);
        if !gates.is_empty() {
            self.shared.start_ns.store(start_ns, Ordering::Release);
        }
        for gate in gates.drain(..) {
            let _ = gate.send(());
        }
    }

    /// Start of its clock, monotonic ns; 0 before that.
    pub fn start_ns(&self) -> i64 {
        self.shared.start_ns.load(Ordering::Acquire)
    }

    /// The next rows; see [`Reader::read`].
    pub fn read(&self, timeout: Duration) -> Option<Vec<Row>> {
        self.reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(timeout)
    }

    /// Waits for every loop to end, and returns what the run owes to the generator's slowness.
    ///
    /// # Errors
    /// A loop failed: the system's event queue did, or the loop itself.
    pub fn join(&self) -> io::Result<Audit> {
        let mut audit = Audit::default();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            audit.add(&thread.join().expect("a panic was caught")?);
        }
        Ok(audit)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.control.abandon();
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.clear();
        drop(gates);
        // Whoever drops it early wants neither rows nor reasons.
        let _ = self.join();
    }
}
