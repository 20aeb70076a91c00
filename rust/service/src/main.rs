//! `rateproof service`: decisions over HTTP for every language, from the tables of Python applications.
//!
//! In reading order: `settings` (with `policy` and `key`) says what is promised, `store` opens its
//! tables, `limits` decides, `request` and `answer` are HTTP, `connection` is one client, `serving` the
//! event loops, one a core.

mod address;
mod answer;
mod connection;
mod key;
mod limits;
mod policy;
mod request;
mod serving;
mod settings;
mod signals;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use limits::Limits;
use policy::Text;
use serving::{Listener, Loop, Shared};
use settings::Settings;
use store::Store;

const USAGE: &str = "usage: rateproof-service [--config FILE] [--OPTION VALUE ...]";
const BAD_ARGUMENTS: u8 = 64;
const UNREACHABLE: u8 = 69;
const CANNOT_WRITE: u8 = 73;

/// A failure: its exit code, and what to say.
type Failure = (u8, String);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("rateproof: error: {message}");
            ExitCode::from(code)
        }
    }
}

/// What was said on the command line.
struct Arguments {
    config: PathBuf,
    told: Vec<(String, String)>,
    json: bool,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut found = Self {
            config: PathBuf::from("rateproof.toml"),
            told: Vec::new(),
            json: false,
        };
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                return Err(format!("{word:?} is no option\n{USAGE}"));
            };
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            match name {
                "config" => found.config = value.into(),
                "json" => found.json = value == "true",
                name => found.told.push((name.replace('-', "_"), value)),
            }
        }
        Ok(found)
    }

    /// The settings of the file, under what was said here.
    fn settings(&self) -> Result<Settings, String> {
        let mut settings = Settings::read(&self.config)?;
        for (name, text) in &self.told {
            settings.tell(name, text)?;
        }
        Ok(settings)
    }
}

fn run() -> Result<(), Failure> {
    let bad = |message| (BAD_ARGUMENTS, message);
    let arguments = Arguments::read(std::env::args().skip(1)).map_err(bad)?;
    let settings = arguments.settings().map_err(bad)?;
    let mut store = Store::new(&settings.store, settings.capacity).map_err(bad)?;
    let limits = Limits::open(&settings, &mut store, None);
    let limits = limits.map_err(|message| (CANNOT_WRITE, message))?;
    let taken = |error| {
        let Settings { host, port, .. } = &settings;
        (
            UNREACHABLE,
            format!("cannot listen at {host}, port {port}: {error}"),
        )
    };
    let listener = Listener::bind(&settings.host, settings.port).map_err(taken)?;
    let shared = Arc::new(Shared::new(limits));
    let signals = signals::Signals::held();
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let threads = if settings.threads == 0 {
        cores
    } else {
        settings.threads
    };
    let mut loops = Vec::new();
    for _ in 0..threads {
        let (each, waker) = Loop::new(&listener).map_err(taken)?;
        let shared = Arc::clone(&shared);
        loops.push((thread::spawn(move || each.run(&shared)), waker));
    }
    say(&settings, &listener.place(), arguments.json);
    let wake = |loops: &[(thread::JoinHandle<()>, mio::Waker)]| {
        for (_, waker) in loops {
            let _ = waker.wake();
        }
    };
    while signals.asks_for_reload() {
        match reloaded(&arguments, &settings, &mut store, &shared.limits()) {
            Ok(limits) => {
                shared.replace(limits);
                eprintln!("rateproof: settings read again");
            }
            Err(message) => eprintln!("rateproof: kept the settings: {message}"),
        }
        wake(&loops);
    }
    shared.end();
    wake(&loops);
    for (each, _) in loops {
        let _ = each.join();
    }
    if let Listener::Unix(_, path) = &listener {
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// The limits of the file as it is now: all of them, or none.
fn reloaded(
    arguments: &Arguments,
    before: &Settings,
    store: &mut Store,
    limits: &Limits,
) -> Result<Limits, String> {
    let settings = arguments.settings()?;
    let place = |settings: &Settings| {
        let Settings {
            store,
            capacity,
            host,
            port,
            threads,
            ..
        } = settings;
        (store.clone(), *capacity, host.clone(), *port, *threads)
    };
    if place(&settings) != place(before) {
        return Err(
            "store, capacity, host, port and threads change with a restart only".to_owned(),
        );
    }
    Limits::open(&settings, store, Some(limits))
}

fn say(settings: &Settings, place: &str, json: bool) {
    let mut limits = Vec::new();
    eprintln!("serving {place} from {}", settings.store);
    for (name, limit) in &settings.limits {
        let quotas = limit
            .policy
            .quotas
            .iter()
            .map(|quota| Text(quota).to_string());
        let policy = quotas.collect::<Vec<_>>().join("; ");
        eprintln!("  /check/{name}: {policy}");
        limits.push(format!("{name:?}: {policy:?}"));
    }
    if json {
        let (store, limits) = (&settings.store, limits.join(", "));
        println!("{{\"url\": {place:?}, \"store\": {store:?}, \"limits\": {{{limits}}}}}");
    }
}
