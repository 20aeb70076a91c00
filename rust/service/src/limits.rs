//! The limits in force: each with its tables, and what its answers say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use rateproof_enforce::{Answer, PATIENCE, Quota, Table, hit_all, now_ns};

use crate::address::ClientAddress;
use crate::key::KeySpec;
use crate::policy::Text;
use crate::request::Request;
use crate::settings::{Limit, Settings};
use crate::store::Store;

const SECOND_NS: u64 = 1_000_000_000;

/// All limits, by name.
pub struct Limits {
    pub by_name: BTreeMap<String, Served>,
    pub address: ClientAddress,
    pub status: u16,
}

/// A limit.
pub struct Served {
    key: KeySpec,
    cost: u64,
    shadow: bool,
    tables: Vec<Arc<Table>>,
    /// Tables of quotas that left at a reload, and until when they stay in force.
    leaving: Vec<(Arc<Table>, u64)>,
    /// The quotas as text, and their names in RateLimit.
    texts: Vec<String>,
    names: Vec<String>,
    announced: String,
}

/// What became of a request.
pub enum Decision<'a> {
    Admitted(&'a Served, Vec<Answer>),
    Denied(&'a Served, Vec<Answer>),
    /// No room for the key, or no lock in time; seconds until it makes sense to try again.
    Full(u64),
    /// The table is gone or damaged.
    Failed,
    /// The key is longer than is accepted.
    TooLong,
}

impl Limits {
    /// Opens the tables of all limits. What was promised before stays in force for as long as an
    /// admission then could matter, and a second.
    ///
    /// # Errors
    /// The store cannot be used; nothing has changed then.
    pub fn open(
        settings: &Settings,
        store: &mut Store,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        for (name, limit) in &settings.limits {
            let former = before.and_then(|before| before.by_name.get(name));
            by_name.insert(name.clone(), Served::open(name, limit, store, former)?);
        }
        Ok(Self {
            by_name,
            address: settings.address.clone(),
            status: settings.status,
        })
    }
}

impl Served {
    fn open(
        name: &str,
        limit: &Limit,
        store: &mut Store,
        former: Option<&Self>,
    ) -> Result<Self, String> {
        let quotas = &limit.policy.quotas;
        let tables = store.open(quotas)?;
        let now = now_ns();
        let mut leaving: Vec<(Arc<Table>, u64)> = Vec::new();
        if let Some(former) = former {
            leaving.extend(
                former
                    .leaving
                    .iter()
                    .filter(|(_, until)| now < *until)
                    .cloned(),
            );
            let until = |quota: &Quota| now + longest_memory_ns(quota) + SECOND_NS;
            leaving.extend(
                former
                    .tables
                    .iter()
                    .map(|table| (Arc::clone(table), until(table.quota()))),
            );
            leaving.retain(|(table, _)| !quotas.contains(table.quota()));
        }
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
            let Quota {
                limit,
                window_ns,
                burst,
                ..
            } = *quota;
            let whole = u128::from(burst) * u128::from(window_ns);
            let seconds = whole.div_ceil(u128::from(limit) * u128::from(SECOND_NS));
            let before = if announced.is_empty() { "" } else { ", " };
            let _ = write!(announced, "{before}\"{name}\";q={burst};w={seconds}");
        }
        Ok(Self {
            key: limit.key.clone(),
            cost: limit.cost,
            shadow: limit.shadow,
            tables,
            leaving,
            texts,
            names,
            announced,
        })
    }

    /// Decides about a request.
    pub fn decide(
        &self,
        request: &Request<'_>,
        route: &[u8],
        address: &ClientAddress,
        peer: Option<IpAddr>,
    ) -> Decision<'_> {
        let Some(key) = self.key.of(request, route, address, peer) else {
            return Decision::TooLong;
        };
        let mut tables: Vec<&Table> = self.tables.iter().map(AsRef::as_ref).collect();
        if !self.leaving.is_empty() {
            let now = now_ns();
            let held = self.leaving.iter().filter(|(_, until)| now < *until);
            tables.extend(held.map(|(table, _)| table.as_ref()));
        }
        match hit_all(&tables, &key, self.cost, None, PATIENCE) {
            Err(error) => {
                eprintln!("rateproof: {error}");
                Decision::Failed
            }
            Ok(None) => Decision::Full(1),
            Ok(Some((admitted, answers))) => {
                let full = answers.iter().filter(|answer| answer.full);
                let longest = answers.iter().map(|answer| answer.retry_after_ns).max();
                if !admitted && !self.shadow && full.count() > 0 {
                    return Decision::Full(seconds_of(longest.unwrap_or(0)));
                }
                // A quota that is about to leave denies, but is not announced.
                match admitted || self.shadow {
                    true => Decision::Admitted(self, answers.into_vec()),
                    false => Decision::Denied(self, answers.into_vec()),
                }
            }
        }
    }

    /// RateLimit-Policy and RateLimit, as fields of a head.
    pub fn write_fields(&self, out: &mut Vec<u8>, answers: &[Answer]) {
        out.extend_from_slice(b"RateLimit-Policy: ");
        out.extend_from_slice(self.announced.as_bytes());
        out.extend_from_slice(b"\r\nRateLimit: ");
        let mut text = String::new();
        for (name, answer) in self.names.iter().zip(answers) {
            let wait = match answer.retry_after_ns {
                0 => answer.reset_after_ns,
                wait => wait,
            };
            let least = u64::from(answer.remaining == 0);
            let before = if text.is_empty() { "" } else { ", " };
            let seconds = wait.div_ceil(SECOND_NS).max(least);
            let _ = write!(
                text,
                "{before}\"{name}\";r={};t={seconds}",
                answer.remaining
            );
        }
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// The names and the texts of the quotas that deny.
    pub fn denying(&self, answers: &[Answer]) -> (Vec<&str>, String) {
        let told = self.names.iter().zip(&self.texts).zip(answers);
        let denying = told.filter(|(_, answer)| answer.retry_after_ns > 0);
        let (names, texts): (Vec<&str>, Vec<&str>) = denying
            .map(|((name, text), _)| (name.as_str(), text.as_str()))
            .unzip();
        (names, texts.join(" and "))
    }
}

/// No admission matters for longer: two windows of a counter or of a block, or a bucket's refill.
fn longest_memory_ns(quota: &Quota) -> u64 {
    let refill_ns = quota
        .burst
        .saturating_mul(quota.window_ns.div_ceil(quota.limit));
    refill_ns.max(2 * quota.window_ns + quota.blocks)
}

/// Whole seconds of a wait, at least 1.
#[must_use]
pub fn seconds_of(wait_ns: u64) -> u64 {
    wait_ns.div_ceil(SECOND_NS).max(1)
}
