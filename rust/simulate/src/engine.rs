//! A run: event loops on threads of their own, and the rows that they record.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::audit::Audit;
use crate::control::Control;
use crate::pacer::Pacer;
use crate::rows::{Reader, Row, recorders};
use crate::settings::Settings;
use crate::start::Start;
use crate::worker::{Shared, Worker};

/// A run that goes on.
pub struct Engine {
    /// Shared by its loops: the scenario, and what may be asked of it while it goes on.
    pub shared: Arc<Shared>,
    reader: Mutex<Reader>,
    threads: Mutex<Vec<JoinHandle<io::Result<Audit>>>>,
}

impl Engine {
    /// Starts every loop; requests begin when all of them are ready.
    ///
    /// # Errors
    /// The system has no descriptor or thread left for a loop.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let loops = settings.loops;
        let shared = Arc::new(Shared {
            pacer: settings.pace_ns.map(Pacer::new),
            settings,
            control: Control::default(),
            sequences: AtomicI64::new(0),
            connections: AtomicI64::new(1),
            active: AtomicI64::new(0),
            start: Start::default(),
        });
        let start_ns = shared.settings.start_ns;
        let (recorders, reader) = recorders(loops);
        let workers = recorders
            .into_iter()
            .enumerate()
            .map(|(number, recorder)| Worker::new(Arc::clone(&shared), number, recorder))
            .collect::<io::Result<Vec<_>>>()?;
        let mut threads = Vec::with_capacity(loops);
        for (number, worker) in workers.into_iter().enumerate() {
            let others = Arc::clone(&shared);
            let spawned = Builder::new()
                .name(format!("load-{number}"))
                .spawn(move || {
                    let ended = catch_unwind(AssertUnwindSafe(|| worker.run()))
                        .unwrap_or_else(|_| Err(io::Error::other("an event loop panicked")));
                    if ended.is_err() {
                        // Where one loop cannot go on, the others would hide that.
                        others.start.cancel();
                        others.control.stop();
                    }
                    ended
                });
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    shared.start.cancel();
                    return Err(error);
                }
            }
        }
        shared.start.begin(loops, start_ns);
        Ok(Self {
            shared,
            reader: Mutex::new(reader),
            threads: Mutex::new(threads),
        })
    }

    /// Start of its clock, monotonic ns; 0 before that.
    pub fn start_ns(&self) -> i64 {
        self.shared.start.instant_ns()
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
        // Whoever drops it early wants neither rows nor reasons.
        let _ = self.join();
    }
}
