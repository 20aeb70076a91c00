//! The limits in force: each with its tables, and what its answers say.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;

use rateproof_enforce::{Answer, Ruling};

use crate::address::ClientAddress;
use crate::domains::Domains;
use crate::key::KeySpec;
use crate::metrics::Meter;
use crate::pieces::put;
use crate::policy::Text;
use crate::request::Request;
use crate::room::Room;
use crate::settings::{Limit, Settings};
use crate::store::Store;
use crate::tables::{Fault, Tables};
use crate::tls::Tls;

const SECOND_NS: u64 = 1_000_000_000;
/// Names of limits that an error tells.
const MOST_NAMED: usize = 20;

/// All limits, by name.
pub struct Limits {
    pub by_name: BTreeMap<String, Served>,
    pub address: ClientAddress,
    pub status: u16,
    /// The facts that whoever asks has to know.
    pub token: Option<String>,
    /// Keys are named on the page of figures.
    pub show_keys: bool,
    pub tls: Option<Tls>,
    /// Those that Envoy asks for.
    pub domains: Domains,
    /// Former ones whose names are gone: one that is back goes on from there.
    gone: BTreeMap<String, Tables>,
}

/// A limit.
pub struct Served {
    key: KeySpec,
    /// Units that a request uses up.
    pub cost: u64,
    pub tables: Tables,
    /// The defence against keys that are invented, where hops are trusted to tell addresses.
    room: Option<Room>,
    /// The quotas as text, and their names in RateLimit.
    texts: Vec<String>,
    names: Vec<String>,
    announced: String,
}

impl Limits {
    /// Opens the tables of all limits. What was promised before stays in force for as long as an
    /// admission then could matter, and a second.
    ///
    /// # Errors
    /// The store cannot be used; nothing has changed then.
    pub fn open(
        settings: &Settings,
        tls: Option<Tls>,
        store: &mut Store,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let mut former: HashMap<&str, &Tables> = HashMap::new();
        if let Some(before) = before {
            let gone = before.gone.iter();
            former.extend(gone.map(|(name, tables)| (name.as_str(), tables)));
            former.extend(before.counted());
        }
        let mut by_name = BTreeMap::new();
        for (name, limit) in &settings.limits {
            let former = former.remove(name.as_str());
            by_name.insert(
                name.clone(),
                Served::open(name, limit, settings, store, former)?,
            );
        }
        let meter = || Meter::new(settings.threads);
        let domains = Domains::open(&settings.rules, store, &mut former, meter)?;
        let left = |(name, tables): (&str, &Tables)| {
            (name.to_owned(), Tables::new(Vec::new(), None, Some(tables)))
        };
        let mut gone: BTreeMap<String, Tables> = former.into_iter().map(left).collect();
        gone.retain(|_, tables| tables.leaves_something());
        Ok(Self {
            by_name,
            domains,
            gone,
            address: settings.address.clone(),
            status: settings.status,
            token: settings.token.clone(),
            show_keys: settings.show_keys,
            tls,
        })
    }

    /// Nobody decides by the former limits any more: what they promised ends with what they admitted.
    pub fn in_force(&self) {
        self.all().for_each(Tables::replaced);
    }

    /// True if a former promise is kept that is in force no longer.
    pub fn keep_what_has_left(&self) -> bool {
        self.all().any(Tables::keep_what_has_left)
    }

    fn all(&self) -> impl Iterator<Item = &Tables> {
        let decide = self.counted().map(|(_, tables)| tables);
        decide.chain(self.gone.values())
    }

    /// The names that may be asked for, or as many of them as an error has room for.
    pub fn names(&self) -> String {
        let known = self.by_name.keys().map(String::as_str);
        let more = (self.by_name.len() > MOST_NAMED).then_some("...");
        let names: Vec<&str> = known.take(MOST_NAMED).chain(more).collect();
        match names.is_empty() {
            true => "there is none".to_owned(),
            false => format!("one of {}", names.join(", ")),
        }
    }

    /// All that decide, by name or by their place in a domain.
    pub fn counted(&self) -> impl Iterator<Item = (&str, &Tables)> {
        let named = self.by_name.iter();
        let named = named.map(|(name, served)| (name.as_str(), &served.tables));
        named.chain(self.domains.counted())
    }

    /// True if every table can be used.
    pub fn can_decide(&self) -> bool {
        self.counted().all(|(_, tables)| tables.can_decide())
    }
}

impl Served {
    fn open(
        name: &str,
        limit: &Limit,
        settings: &Settings,
        store: &mut Store,
        former: Option<&Tables>,
    ) -> Result<Self, String> {
        let quotas = &limit.policy.quotas;
        let own = store.open(quotas)?;
        let room = match settings.address.tells_takers() {
            true => Room::new(store, &own)?,
            false => None,
        };
        let tables = Tables::new(own, store.counters()?, former)
            .metered(|| Meter::new(settings.threads), limit.shadow);
        let texts: Vec<String> = quotas.iter().map(|quota| Text(quota).to_string()).collect();
        let names: Vec<String> = match texts.len() {
            1 => vec![name.to_owned()],
            _ => texts
                .iter()
                .map(|text| format!("{name}-{}", text.replace(' ', "-")))
                .collect(),
        };
        let mut announced = String::new();
        for (name, quota) in names.iter().zip(quotas) {
            let (burst, per_second) =
                (quota.burst, u128::from(quota.limit) * u128::from(SECOND_NS));
            let seconds = (u128::from(burst) * u128::from(quota.window_ns)).div_ceil(per_second);
            let before = if announced.is_empty() { "" } else { ", " };
            let _ = write!(announced, "{before}\"{name}\";q={burst};w={seconds}");
        }
        Ok(Self {
            key: limit.key.clone(),
            cost: limit.cost,
            tables,
            room,
            texts,
            names,
            announced,
        })
    }

    /// Decides about a request: true lets it pass.
    ///
    /// # Errors
    /// Nobody can: also where a value is longer than a key may be.
    pub fn decide(
        &self,
        request: &Request<'_>,
        route: &[u8],
        address: &ClientAddress,
        peer: Option<IpAddr>,
    ) -> Result<Ruling, Fault> {
        let key = self.key.of(request, route, address, peer);
        let key = key.map_err(Fault::Asked)?;
        let ruling = match &self.room {
            Some(room) => room.hit(&self.tables, &key, self.cost, || address.taker(request)),
            None => self.tables.hit(&key, self.cost),
        };
        let (admitted, answers) = self.tables.ruled(ruling)?;
        Ok((admitted || self.tables.shadow, answers))
    }

    /// RateLimit-Policy and RateLimit, as fields of a head. A quota that is about to leave is not announced.
    pub fn write_fields(&self, out: &mut Vec<u8>, answers: &[Answer]) {
        put!(
            out,
            "RateLimit-Policy: ",
            &self.announced[..],
            "\r\nRateLimit: "
        );
        for (number, (name, answer)) in self.names.iter().zip(answers).enumerate() {
            let wait = match answer.retry_after_ns {
                0 => answer.reset_after_ns,
                wait => wait,
            };
            let least = u64::from(answer.remaining == 0);
            let before = if number == 0 { "\"" } else { ", \"" };
            let seconds = wait.div_ceil(SECOND_NS).max(least);
            put!(
                out,
                before,
                &name[..],
                "\";r=",
                answer.remaining,
                ";t=",
                seconds
            );
        }
        put!(out, "\r\n");
    }

    /// The name and the text of each quota that denies.
    pub fn denying(&self, answers: &[Answer]) -> impl Iterator<Item = (&str, &str)> {
        let told = self.names.iter().zip(&self.texts).zip(answers);
        told.filter(|(_, answer)| answer.retry_after_ns > 0)
            .map(|((name, text), _)| (name.as_str(), text.as_str()))
    }
}
