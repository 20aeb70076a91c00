//! Other limits in the place of those in force: those of the file as it is now, or the same ones
//! without what has left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use mio::Waker;
use rateproof_enforce::now_ns;

use crate::activation;
use crate::arguments::Arguments;
use crate::limits::Limits;
use crate::serving::Shared;
use crate::settings::{Settings, shown};
use crate::store::Store;
use crate::tls;

/// A moment for the event loops to come round.
const ROUND: Duration = Duration::from_millis(5);
/// The time between two looks for what has left.
const LOOK: Duration = Duration::from_secs(1);

/// All that it takes to put other limits in force.
pub struct Reload {
    pub arguments: Arguments,
    /// Those in force.
    pub settings: Settings,
    pub shared: Arc<Shared>,
    pub wakers: Arc<Vec<Waker>>,
}

/// Wakes the event loops.
pub fn wake(wakers: &[Waker]) {
    for waker in wakers {
        let _ = waker.wake();
    }
}

impl Reload {
    /// Reads the settings again as often as it is asked to, and closes tables that nobody needs.
    pub fn serve(mut self, asked: &Receiver<()>) {
        loop {
            match asked.recv_timeout(LOOK) {
                Ok(()) => self.read_again(),
                Err(RecvTimeoutError::Timeout) => self.forget(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.shared.told.close_unused();
        }
    }

    fn read_again(&mut self) {
        let micros = now_ns() / 1_000;
        activation::say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        let former = self.shared.limits();
        let read = |store: &mut Store| self.read(store, &former);
        match self.shared.told.with_store(read) {
            Ok((settings, limits)) => {
                self.shared.replace(limits);
                wake(&self.wakers);
                let changes = changes(&settings, &self.settings);
                tell!("rateproof: settings read again: {changes}");
                self.settings = settings;
                self.put_in_force(&former);
            }
            Err(message) => tell!("rateproof: kept the settings: {message}"),
        }
        activation::say("READY=1");
    }

    /// The limits of the file as it is now: all of them, or none.
    fn read(&self, store: &mut Store, former: &Limits) -> Result<(Settings, Limits), String> {
        let settings = self.arguments.settings()?;
        let changes = fixed_changes(&settings, &self.settings);
        if !changes.is_empty() {
            let file = self.arguments.config.display();
            return Err(format!(
                "{file}: {changes}: that changes with a restart only"
            ));
        }
        let limits = Limits::open(&settings, tls::told(&settings)?, store, Some(former))?;
        Ok((settings, limits))
    }

    /// Has the loops decide without what has left.
    fn forget(&self) {
        let former = self.shared.limits();
        if !former.keep_what_has_left() {
            return;
        }
        let tls = former.tls.clone();
        let again = |store: &mut Store| Limits::open(&self.settings, tls, store, Some(&former));
        // If the store cannot be used now, there will be another look.
        if let Ok(limits) = self.shared.told.with_store(again) {
            self.shared.replace(limits);
            wake(&self.wakers);
            self.put_in_force(&former);
        }
    }

    /// Waits until no loop decides by the former limits: each has them until its next round.
    fn put_in_force(&self, former: &Arc<Limits>) {
        while Arc::strong_count(former) > 1 {
            thread::sleep(ROUND);
        }
        fence(Ordering::Acquire);
        self.shared.limits().in_force();
    }
}

/// Settings that change with a restart only and were changed, each with its line.
fn fixed_changes(now: &Settings, before: &Settings) -> String {
    let both = fixed(now).into_iter().zip(fixed(before));
    let changed = both.filter(|((_, now), (_, before))| now != before);
    let told = changed.map(|((name, value), (_, before))| {
        let line = now.lines.get(name).map(|line| format!("line {line}: "));
        format!(
            "{}{name} is {value}, was {before}",
            line.unwrap_or_default()
        )
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Settings that change with a restart only, by name, as text.
fn fixed(settings: &Settings) -> [(&'static str, String); 9] {
    let told = |place: &Option<(String, u16)>| place.as_ref().map_or("none".to_owned(), shown);
    let (host, port) = settings.http();
    [
        ("store", settings.store.clone()),
        ("capacity", settings.capacity.to_string()),
        ("host", host),
        ("port", port.to_string()),
        ("resp", told(&settings.resp)),
        ("resp_tables", settings.resp_tables.to_string()),
        ("rls", told(&settings.rls)),
        ("threads", settings.threads.to_string()),
        ("connections", settings.connections.to_string()),
    ]
}

/// The limits and rules that were added, changed and removed, by their names.
fn changes(now: &Settings, before: &Settings) -> String {
    let (now, before) = (promises(now), promises(before));
    type Is<'a> = &'a dyn Fn(&(&String, &String)) -> bool;
    let named = |what: &str, of: &BTreeMap<String, String>, is: Is<'_>| {
        let names: Vec<&str> = of
            .iter()
            .filter(is)
            .map(|(name, _)| name.as_str())
            .collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let is_other = |(name, promise): &(&String, &String)| {
        before.get(*name).is_some_and(|before| before != *promise)
    };
    let told = [
        named("added", &now, &|(name, _)| !before.contains_key(*name)),
        named("changed", &now, &is_other),
        named("removed", &before, &|(name, _)| !now.contains_key(*name)),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    match told.is_empty() {
        true => "no limit changed".to_owned(),
        false => told.join("; "),
    }
}

/// All that a limit or a rule says, by its name.
fn promises(settings: &Settings) -> BTreeMap<String, String> {
    let limits = settings.limits.iter();
    let limits = limits.map(|(name, limit)| (name.clone(), format!("{limit:?}")));
    let rules = settings.rules.all.iter();
    let rules = rules.map(|rule| (rule.path.clone(), format!("{rule:?}")));
    limits.chain(rules).collect()
}
