//! `rateproof service`: decisions over HTTP, RESP and gRPC for every language, from the tables of Python
//! applications.
//!
//! In reading order: `settings` (with `policy` and `key`) says what is promised, `store` opens its
//! `tables`, `limits` decides; `request` and `answer` are HTTP; `frame`, `command` and `reply` are RESP,
//! `told` its policies; `rules` with their `definitions` in `yaml`, `domains` and `messages` are Envoy's rate limit service, over
//! the `calls` of gRPC; `listener` has the sockets, `connection` is one client, `serving` the event loops, one a core;
//! `reload` puts other limits in force.

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
mod arguments;
mod calls;
mod command;
mod connection;
mod definitions;
mod domains;
mod frame;
mod key;
mod limits;
mod listener;
mod messages;
mod metrics;
mod pieces;
mod policy;
mod reload;
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

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use activation::Handed;
use arguments::Arguments;
use limits::Limits;
use listener::{Listener, Speaks};
use policy::Text;
use reload::Reload;
use serving::{Loop, Shared};
use settings::{Settings, shown};
use store::Store;
use told::Told;

const BAD_ARGUMENTS: u8 = 64;
const UNREACHABLE: u8 = 69;
const CANNOT_WRITE: u8 = 73;

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

fn run() -> Result<(), Failure> {
    let bad = |message| (BAD_ARGUMENTS, message);
    let (reloads, ends) = signals::awaited();
    let handed = activation::sockets().map_err(bad)?;
    let rls_handed = handed.iter().any(|each| each.name == "rls");
    let arguments = Arguments::read(std::env::args_os().skip(1), rls_handed).map_err(bad)?;
    let settings = arguments.settings().map_err(bad)?;
    let tls = tls::told(&settings).map_err(bad)?;
    let mut store = Store::new(&settings.store, settings.capacity).map_err(bad)?;
    let alone = handed.is_empty();
    let listen = |place: &(String, u16), speaks| {
        let beside = match alone {
            true => "",
            false => " (an address that is told is opened beside the sockets that are handed over)",
        };
        let option = match speaks {
            Speaks::Http if place.0.starts_with("unix:") => "--host",
            Speaks::Http => "--port",
            Speaks::Resp => "--resp",
            Speaks::Grpc => "--rls",
        };
        let hint = |error: &io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("\n\nhint: stop what listens there, or choose another place: {option}")
            }
            _ => String::new(),
        };
        let taken = |error: io::Error| {
            let (place, hint) = (shown(place), hint(&error));
            format!("cannot listen at {place}: {error}{beside}{hint}")
        };
        Listener::bind(&place.0, place.1, speaks).map_err(|error| (UNREACHABLE, taken(error)))
    };
    let mut listeners = Vec::new();
    for Handed { socket, name } in handed {
        let speaks = match name.as_str() {
            "resp" => Speaks::Resp,
            "rls" => Speaks::Grpc,
            _ => Speaks::Http,
        };
        let made = Listener::of(socket, speaks, None);
        listeners.push(made.map_err(|error| (UNREACHABLE, error.to_string()))?);
    }
    if alone || settings.host.is_some() || settings.port.is_some() {
        listeners.push(listen(&settings.http(), Speaks::Http)?);
    }
    for (place, speaks) in [
        (&settings.resp, Speaks::Resp),
        (&settings.rls, Speaks::Grpc),
    ] {
        if let Some(place) = place {
            listeners.push(listen(place, speaks)?);
        }
    }
    // Tables may take long to make: a place that is taken is known before.
    let limits = Limits::open(&settings, tls, &mut store, None);
    let limits = limits.map_err(|message| (CANNOT_WRITE, message))?;
    let shared = Arc::new(Shared::new(limits, Told::new(store, settings.resp_tables)));
    signals::serves();
    serving::allow_connections();
    let (mut loops, mut wakers) = (Vec::new(), Vec::new());
    for number in 0..settings.threads {
        let made = Loop::new(&listeners, settings.connections);
        let (each, waker) = made.map_err(|error| (UNREACHABLE, error.to_string()))?;
        let shared = Arc::clone(&shared);
        loops.push(thread::spawn(move || each.run(&shared, number)));
        wakers.push(waker);
    }
    let tls = settings.tls_cert.is_some();
    say(&arguments, &settings, &listeners, tls)?;
    warn(&settings, &listeners);
    activation::say("READY=1");
    // Tables may take long to make: whoever is asked to end does not wait for that.
    let reload = Reload {
        arguments,
        settings,
        shared: Arc::clone(&shared),
        wakers: Arc::new(wakers),
    };
    let wakers = Arc::clone(&reload.wakers);
    thread::spawn(move || reload.serve(&reloads));
    let _ = ends.recv();
    activation::say("STOPPING=1");
    drop(listeners);
    shared.end();
    reload::wake(&wakers);
    for each in loops {
        let _ = each.join();
    }
    Ok(())
}

fn warn(settings: &Settings, listeners: &[Listener]) {
    if settings.token.is_none() && listeners.iter().any(Listener::is_open_to_others) {
        tell!("rateproof: WARNING: other machines may ask, and none needs a token");
    }
    let limits = settings.limits.iter();
    let by_address = limits.filter(|(_, limit)| limit.key.names_address());
    let names: Vec<&str> = by_address.map(|(name, _)| name.as_str()).collect();
    let unknown = listeners.iter().any(Listener::tells_no_address);
    if unknown && settings.address.proxies == 0 && !names.is_empty() {
        let (names, header) = (names.join(", "), &settings.address.header);
        tell!(
            "rateproof: WARNING: a Unix socket tells no address, so the key ip is one for all clients \
             ({names}): proxies = 1 takes it from {header} (proxy_header)"
        );
    }
}

fn say(
    arguments: &Arguments,
    settings: &Settings,
    listeners: &[Listener],
    tls: bool,
) -> Result<(), Failure> {
    let mut limits = Vec::new();
    let places: Vec<String> = listeners.iter().map(|each| each.place(tls)).collect();
    let (store, file) = (&settings.store, arguments.config.display());
    let served = places.join(" and ");
    tell!("serving {served} from {store}, settings of {file}");
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
        let path = visible::json(&rule.path);
        tell!("  rls {path}: {}{shadow}", rule.promise());
        limits.push((rule.path.clone(), rule.promise()));
    }
    if arguments.json {
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
