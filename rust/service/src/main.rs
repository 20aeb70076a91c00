//! `rateproof service`: decisions over HTTP, RESP and gRPC for every language, from the tables of Python
//! applications.
//!
//! In reading order: `settings` (with `policy` and `key`) says what is promised, `store` opens its
//! `tables`, `limits` decides; `request` and `answer` are HTTP; `frame`, `command` and `reply` are RESP,
//! `told` its policies; `rules` with their `definitions` in `yaml`, `domains` and `messages` are Envoy's rate limit service, over
//! the `calls` of gRPC; `listener` has the sockets, `connection` is one client, `serving` the event loops, one a core.

/// Says something on stderr, where that can be written to.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

mod activation;
mod address;
mod answer;
mod calls;
mod command;
mod connection;
mod decimal;
mod definitions;
mod domains;
mod frame;
mod key;
mod limits;
mod listener;
mod messages;
mod metrics;
mod policy;
mod reply;
mod request;
mod room;
mod routes;
mod rules;
mod serving;
mod session;
mod settings;
mod signals;
mod store;
mod tables;
mod throttle;
mod tls;
mod told;
mod visible;
mod yaml;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use limits::Limits;
use listener::{Listener, Speaks};
use policy::Text;
use serving::{Loop, Shared};
use settings::Settings;
use store::Store;
use told::Told;

const USAGE: &str = "usage: rateproof-service [--config FILE] [--OPTION VALUE ...]";
const BAD_ARGUMENTS: u8 = 64;
const UNREACHABLE: u8 = 69;
const CANNOT_WRITE: u8 = 73;
/// A moment for the event loops to come round.
const ROUND: Duration = Duration::from_millis(5);

/// A failure: its exit code, and what to say.
type Failure = (u8, String);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            tell!("rateproof: error: {message}");
            ExitCode::from(code)
        }
    }
}

/// All that was said on the command line.
struct Arguments {
    config: PathBuf,
    told: Vec<(String, String)>,
    json: bool,
}

impl Arguments {
    fn read(words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut found = Self {
            config: PathBuf::from("rateproof.toml"),
            told: Vec::new(),
            json: false,
        };
        let text = |word: OsString| {
            let told = word.into_string();
            told.map_err(|word| format!("{word:?} is not UTF-8\n{USAGE}"))
        };
        let mut words = words;
        while let Some(word) = words.next().map(text).transpose()? {
            let Some(name) = word.strip_prefix("--") else {
                return Err(format!("{word:?} is no option\n{USAGE}"));
            };
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            match name {
                "config" => found.config = value.into(),
                "json" => found.json = value == "true",
                name => found.told.push((name.replace('-', "_"), text(value)?)),
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
        settings.whole()
    }
}

fn run() -> Result<(), Failure> {
    let bad = |message| (BAD_ARGUMENTS, message);
    let arguments = Arguments::read(std::env::args_os().skip(1)).map_err(bad)?;
    let settings = arguments.settings().map_err(bad)?;
    let tls = tls::told(&settings).map_err(bad)?;
    let mut store = Store::new(&settings.store, settings.capacity).map_err(bad)?;
    let listen = |host: &str, port, speaks| {
        let place = match host.starts_with("unix:") {
            true => host.to_owned(),
            false => format!("{host}, port {port}"),
        };
        let taken = |error| (UNREACHABLE, format!("cannot listen at {place}: {error}"));
        Listener::bind(host, port, speaks).map_err(taken)
    };
    let mut listeners = Vec::new();
    for (socket, name) in activation::sockets() {
        let speaks = match name.as_str() {
            "resp" => Speaks::Resp,
            "rls" if settings.rls.is_none() => {
                let problem =
                    "a socket named rls was handed over, but neither rls nor rls_config is set";
                return Err(bad(problem.to_owned()));
            }
            "rls" => Speaks::Grpc,
            _ => Speaks::Http,
        };
        listeners.push(Listener::handed(socket, speaks));
    }
    if listeners.is_empty() {
        listeners.push(listen(&settings.host, settings.port, Speaks::Http)?);
        if let Some((host, port)) = &settings.resp {
            listeners.push(listen(host, *port, Speaks::Resp)?);
        }
        if let Some((host, port)) = &settings.rls {
            listeners.push(listen(host, *port, Speaks::Grpc)?);
        }
    }
    // Tables may take long to make: a place that is taken is known before.
    let limits = Limits::open(&settings, tls, &mut store, None);
    let limits = limits.map_err(|message| (CANNOT_WRITE, message))?;
    let shared = Arc::new(Shared::new(limits, Told::new(store, settings.resp_tables)));
    let signals = signals::Signals::held();
    serving::allow_connections();
    let (mut loops, mut wakers) = (Vec::new(), Vec::new());
    for number in 0..settings.threads {
        let made = Loop::new(&listeners, settings.connections);
        let (each, waker) = made.map_err(|error| (UNREACHABLE, error.to_string()))?;
        let shared = Arc::clone(&shared);
        loops.push(thread::spawn(move || each.run(&shared, number)));
        wakers.push(waker);
    }
    let tls = settings.tls.is_some();
    say(&settings, &listeners, tls, arguments.json)?;
    if settings.token.is_none() && listeners.iter().any(Listener::is_open_to_others) {
        tell!("rateproof: WARNING: other machines may ask, and none needs a token");
    }
    let wakers = Arc::new(wakers);
    let wake = |wakers: &[mio::Waker]| {
        for waker in wakers {
            let _ = waker.wake();
        }
    };
    // Tables may take long to make: whoever is asked to end does not wait for that. Of reloads that are
    // asked for meanwhile one is enough.
    let (ask, asked) = mpsc::sync_channel(1);
    let (all, theirs) = (Arc::clone(&shared), Arc::clone(&wakers));
    thread::spawn(move || {
        for () in asked {
            let limits = all.limits();
            let again = |store: &mut Store| reloaded(&arguments, &settings, store, &limits);
            match all.told.with_store(again) {
                Ok(new) => {
                    all.replace(new);
                    wake(&theirs);
                    tell!("rateproof: settings read again");
                    // Each loop has the former ones until its next round.
                    while Arc::strong_count(&limits) > 1 {
                        thread::sleep(ROUND);
                    }
                    fence(Ordering::Acquire);
                    all.limits().in_force();
                }
                Err(message) => tell!("rateproof: kept the settings: {message}"),
            }
        }
    });
    while signals.asks_for_reload() {
        let _ = ask.try_send(());
    }
    drop(listeners);
    shared.end();
    wake(&wakers);
    for each in loops {
        let _ = each.join();
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
            resp,
            resp_tables,
            rls,
            connections,
            ..
        } = settings;
        let sizes = (*capacity, *threads, *resp_tables, *connections);
        let places = (host.clone(), *port, resp.clone(), rls.clone());
        (store.clone(), places, sizes)
    };
    if place(&settings) != place(before) {
        let fixed = "store, capacity, host, port, resp, resp_tables, rls, connections and threads";
        return Err(format!("{fixed} change with a restart only"));
    }
    Limits::open(&settings, tls::told(&settings)?, store, Some(limits))
}

fn say(settings: &Settings, listeners: &[Listener], tls: bool, json: bool) -> Result<(), Failure> {
    let mut limits = Vec::new();
    let places: Vec<String> = listeners.iter().map(|each| each.place(tls)).collect();
    tell!("serving {} from {}", places.join(" and "), settings.store);
    for (name, limit) in &settings.limits {
        let quotas = limit
            .policy
            .quotas
            .iter()
            .map(|quota| Text(quota).to_string());
        let policy = quotas.collect::<Vec<_>>().join("; ");
        let shadow = if limit.shadow { " (shadow)" } else { "" };
        tell!("  /check/{name}: {policy}{shadow}");
        limits.push((name.clone(), policy));
    }
    for rule in &settings.rules.all {
        let shadow = if rule.shadow { " (shadow)" } else { "" };
        tell!("  rls {}: {}{shadow}", rule.path, rule.promise());
        limits.push((rule.path.clone(), rule.promise()));
    }
    if json {
        let pair = |(name, text): &(String, String)| {
            format!("\"{}\": \"{}\"", visible::json(name), visible::json(text))
        };
        let pairs =
            |pairs: &[(String, String)]| pairs.iter().map(pair).collect::<Vec<_>>().join(", ");
        let names = listeners.iter().map(|each| each.name().to_owned());
        let mut told: Vec<_> = names.zip(places).collect();
        told.push(("store".to_owned(), settings.store.clone()));
        let line = format!("{{{}, \"limits\": {{{}}}}}\n", pairs(&told), pairs(&limits));
        let mut out = io::stdout();
        let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| (CANNOT_WRITE, format!("cannot write to stdout: {error}")))?;
    }
    Ok(())
}
