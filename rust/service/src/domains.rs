//! Requests of Envoy's rate limit service, decided: each descriptor by the rule that it meets.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use rateproof_enforce::key::write_part;
use rateproof_enforce::{Answer, Answers, Error, Quota, Ruling};

use crate::key::MOST_KEY;
use crate::messages::{
    CurrentLimit, Descriptor, Duration, Header, OK, OVER_LIMIT, RateLimitRequest,
    RateLimitResponse, Status,
};
use crate::metrics::Meter;
use crate::rules::{Rate, Rules};
use crate::store::Store;
use crate::tables::{Fault, Tables, seconds_of};
use crate::told::{Known, Untaken};

const SECOND_NS: u64 = 1_000_000_000;

/// The reason why a call was not answered: a code of gRPC, and a text.
pub type Failure = (u8, String);

pub const INVALID_ARGUMENT: u8 = 3;
pub const RESOURCE_EXHAUSTED: u8 = 8;
pub const UNIMPLEMENTED: u8 = 12;
pub const UNAVAILABLE: u8 = 14;

/// The rules in force, each with its table.
pub struct Domains {
    rules: Rules,
    /// Of the rules in their order: none where all may pass, empty ones where nothing may.
    tables: Vec<Option<Arc<Tables>>>,
}

/// A descriptor that meets a limit.
struct Asked<'a> {
    place: usize,
    rate: Rate,
    name: &'a str,
    label: &'a str,
    alternative: bool,
    tables: Cow<'a, Arc<Tables>>,
    key: Vec<u8>,
    cost: u64,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let unavailable = |reason: &str| (UNAVAILABLE, reason.to_owned());
        match fault {
            Fault::Full(_) => unavailable("the limiter has no room for another key"),
            Fault::Failed => unavailable("the limiter's storage failed"),
            Fault::Asked(reason) => (INVALID_ARGUMENT, reason),
        }
    }
}

impl From<Untaken> for Failure {
    fn from(Untaken(reason): Untaken) -> Self {
        (RESOURCE_EXHAUSTED, reason)
    }
}

/// The answer of a descriptor's limit.
struct Told {
    admitted: bool,
    remaining: u64,
    retry_after_ns: u64,
    reset_after_ns: u64,
}

impl Domains {
    /// Opens the tables of all rules; a rule at the place of a `former` one takes that and goes on from it.
    ///
    /// # Errors
    /// The store cannot be used; nothing has changed then.
    pub fn open(
        rules: &Rules,
        store: &mut Store,
        former: &mut HashMap<&str, &Tables>,
        meter: impl Fn() -> Meter,
    ) -> Result<Self, String> {
        let mut tables = Vec::new();
        for rule in &rules.all {
            let Some(rate) = rule.rate else {
                tables.push(None);
                continue;
            };
            let quota: Vec<Quota> = rate.quota(true)?.into_iter().collect();
            let former = former.remove(rule.path.as_str());
            let own = Tables::new(store.open(&quota)?, store.counters()?, former);
            tables.push(Some(Arc::new(own.metered(&meter, rule.shadow))));
        }
        Ok(Self {
            rules: rules.clone(),
            tables,
        })
    }

    /// The rules that have a table, by their paths.
    pub fn counted(&self) -> impl Iterator<Item = (&str, &Tables)> {
        let pairs = self.rules.all.iter().zip(&self.tables);
        pairs.filter_map(|(rule, tables)| Some((rule.path.as_str(), tables.as_deref()?)))
    }

    /// Decides about a request: over the limit if one of its descriptors is, and then none of them has
    /// taken anything, unless another request came between the look at all and the taking.
    ///
    /// # Errors
    /// The request cannot be read, or a limit cannot count: no room for the key, or the store failed.
    pub fn decide(
        &self,
        request: &RateLimitRequest,
        known: &mut Known,
    ) -> Result<RateLimitResponse, Failure> {
        let mut statuses = vec![status(OK); request.descriptors.len()];
        let asked = self.asked(request, known, &mut statuses)?;
        let mut told = Vec::with_capacity(asked.len());
        let several = asked.len() > 1;
        // Descriptors may be alike: each has to fit beside those before it.
        let mut units: HashMap<(&[u8], *const Tables), u64> = HashMap::new();
        for each in &asked {
            if !several {
                told.push(each.ask(true, 0)?);
                continue;
            }
            let before = units.entry((&each.key, Arc::as_ptr(&each.tables)));
            let before = before.or_default();
            let answer = each.ask(false, *before)?;
            if answer.admitted {
                *before = before.saturating_add(each.cost);
            }
            told.push(answer);
        }
        if several && wait_ns(&asked, &told).is_none() {
            for (number, each) in asked.iter().enumerate() {
                if told[number].admitted {
                    told[number] = each.ask(true, 0)?;
                    if !told[number].admitted && wait_ns(&asked, &told).is_some() {
                        break;
                    }
                }
            }
        }
        for (asked, told) in asked.iter().zip(&told) {
            let admitted = told.admitted || asked.tables.shadow;
            statuses[asked.place] = Status {
                current_limit: Some(CurrentLimit {
                    requests_per_unit: asked.rate.requests,
                    unit: asked.rate.unit,
                    name: asked.name.to_owned(),
                }),
                limit_remaining: told.remaining.try_into().unwrap_or(u32::MAX),
                duration_until_reset: Some(Duration {
                    seconds: told.seconds() as i64,
                }),
                ..status(if admitted { OK } else { OVER_LIMIT })
            };
        }
        let wait_ns = wait_ns(&asked, &told);
        Ok(RateLimitResponse {
            overall_code: wait_ns.map_or(OK, |_| OVER_LIMIT),
            statuses,
            response_headers_to_add: headers(&asked, &told, wait_ns.unwrap_or(0)),
        })
    }

    /// The descriptors that meet a limit; the status of one without a limit is written.
    fn asked<'a>(
        &'a self,
        request: &RateLimitRequest,
        known: &mut Known,
        statuses: &mut [Status],
    ) -> Result<Vec<Asked<'a>>, Failure> {
        let invalid = |text: &str| Err((INVALID_ARGUMENT, text.to_owned()));
        if request.domain.is_empty() {
            return invalid("rate limit domain must not be empty");
        }
        if request.descriptors.is_empty() {
            return invalid("rate limit descriptor list must not be empty");
        }
        let mut asked = Vec::with_capacity(request.descriptors.len());
        let mut replaced: HashSet<&str> = HashSet::new();
        for (place, descriptor) in request.descriptors.iter().enumerate() {
            if descriptor.is_negative_hits {
                let reason = "is_negative_hits: what was taken is not given back";
                return Err((UNIMPLEMENTED, reason.to_owned()));
            }
            let usual = u64::from(request.hits_addend.max(1));
            let cost = descriptor.hits_addend.map_or(usual, |count| count.value);
            if descriptor.limit.is_some() {
                if self.rules.knows(&request.domain) {
                    asked.push(overridden(place, request, descriptor, known, cost)?);
                }
                continue;
            }
            let entries = descriptor.entries.iter();
            let pairs = entries.map(|entry| (&entry.key[..], &entry.value[..]));
            let mut key = Vec::with_capacity(128);
            let Some(number) = self.rules.find(&request.domain, pairs, &mut key) else {
                continue;
            };
            let rule = &self.rules.all[number];
            replaced.extend(rule.replaces.iter().map(String::as_str));
            match (rule.rate, &self.tables[number]) {
                (Some(rate), Some(tables)) => asked.push(Asked {
                    place,
                    rate,
                    name: &rule.name,
                    label: &rule.label,
                    alternative: rule.alternative,
                    tables: Cow::Borrowed(tables),
                    key,
                    cost,
                }),
                _ => statuses[place].limit_remaining = u32::MAX,
            }
        }
        // No name that is replaced is empty.
        asked.retain(|asked| !replaced.contains(asked.name));
        Ok(asked)
    }
}

/// A descriptor whose limit the request tells.
fn overridden(
    place: usize,
    request: &RateLimitRequest,
    descriptor: &Descriptor,
    known: &mut Known,
    cost: u64,
) -> Result<Asked<'static>, Failure> {
    let told = descriptor.limit.unwrap_or_default();
    let rate = Rate {
        requests: told.requests_per_unit,
        unit: told.unit,
    };
    let quota = rate
        .quota(false)
        .map_err(|error| (INVALID_ARGUMENT, error))?;
    let mut key = Vec::with_capacity(128);
    write_part(&mut key, "domain", &request.domain);
    for entry in &descriptor.entries {
        write_part(&mut key, "key", &entry.key);
        write_part(&mut key, "value", &entry.value);
    }
    let mut tables = |quota: Quota| {
        // No text of a policy: those are UTF-8.
        let text = [
            &b"\xfe"[..],
            &rate.requests.to_be_bytes(),
            &rate.unit.to_be_bytes(),
        ]
        .concat();
        let found = known.tables::<Failure>(&[&text], || Ok(vec![quota]))?;
        Ok::<_, Failure>(Cow::Owned(Arc::clone(found)))
    };
    Ok(Asked {
        place,
        rate,
        name: "",
        label: "override",
        alternative: false,
        tables: match quota {
            Some(quota) => tables(quota)?,
            None => Cow::Owned(Arc::new(Tables::new(Vec::new(), None, None))),
        },
        key,
        cost,
    })
}

impl Asked<'_> {
    /// The answer of the limit, which `takes` or only looks, for others that take so much `before`. A cost of
    /// 0 asks if one more would pass.
    fn ask(&self, takes: bool, before: u64) -> Result<Told, Failure> {
        let (tables, key) = (&self.tables, &self.key[..self.key.len().min(MOST_KEY)]);
        if tables.own().is_empty() || key.len() < self.key.len() {
            let never = Ok(Some((false, Answers::new())));
            tables.count(&never, key, Some(Instant::now()));
            return self.told(never);
        }
        let wanted = match self.cost {
            0 => 0,
            cost => cost.saturating_add(before),
        };
        let fits = (1..=tables.burst()).contains(&wanted);
        if takes && fits {
            return self.told(tables.hit(key, wanted));
        }
        let began = Instant::now();
        let mut ruling = tables.peek(key, if fits { wanted } else { 1 });
        let passes = fits || self.cost == 0;
        if let Ok(Some((admitted, _))) = &mut ruling {
            *admitted &= passes;
            if !*admitted {
                tables.count(&ruling, key, Some(began));
            }
        }
        let mut told = self.told(ruling)?;
        if !passes {
            // No wait would ever let it pass.
            told.retry_after_ns = 0;
        }
        Ok(told)
    }

    fn told(&self, ruling: Result<Option<Ruling>, Error>) -> Result<Told, Failure> {
        let (admitted, answers) = self.tables.ruled(ruling)?;
        let most = |of: fn(&Answer) -> u64| answers.iter().map(of).max();
        let least = answers.iter().map(|answer| answer.remaining).min();
        Ok(Told {
            admitted,
            remaining: least.unwrap_or(0),
            retry_after_ns: most(|answer| answer.retry_after_ns).unwrap_or(0),
            reset_after_ns: most(|answer| answer.reset_after_ns).unwrap_or(0),
        })
    }
}

impl Told {
    /// Seconds until the same would pass, or else until all is free.
    fn seconds(&self) -> u64 {
        match (self.admitted, self.retry_after_ns) {
            (false, wait) if wait > 0 => seconds_of(wait),
            _ => seconds_of(self.reset_after_ns),
        }
    }
}

fn status(code: i32) -> Status {
    Status {
        code,
        ..Status::default()
    }
}

/// The time until a request would pass that is over the limit, 0 if that is not known; `None`: it passes.
fn wait_ns(asked: &[Asked<'_>], told: &[Told]) -> Option<u64> {
    let (mut longest, mut shortest, mut one_passes) = (None, None, false);
    for (asked, told) in asked.iter().zip(told) {
        let wait_ns = Some(told.retry_after_ns);
        match (told.admitted || asked.tables.shadow, asked.alternative) {
            (true, alternative) => one_passes |= alternative,
            (false, true) => shortest = shortest.or(wait_ns).min(wait_ns),
            (false, false) => longest = longest.max(wait_ns),
        }
    }
    longest.max(shortest.filter(|_| !one_passes))
}

/// RateLimit-Policy, RateLimit and, where there is a wait, Retry-After of the limits that a request met.
fn headers(asked: &[Asked<'_>], told: &[Told], wait_ns: u64) -> Vec<Header> {
    if asked.is_empty() {
        return Vec::new();
    }
    let (mut policy, mut state) = (String::new(), String::new());
    for (asked, told) in asked.iter().zip(told) {
        let before = if policy.is_empty() { "" } else { ", " };
        let (name, requests) = (asked.label, asked.rate.requests);
        let window = asked.rate.window_ns().unwrap_or_default() / SECOND_NS;
        let (left, seconds) = (told.remaining, told.seconds());
        // Writing to a text cannot fail.
        let _ = write!(policy, "{before}\"{name}\";q={requests};w={window}");
        let _ = write!(state, "{before}\"{name}\";r={left};t={seconds}");
    }
    let header = |key: &str, value| Header {
        key: key.to_owned(),
        value,
    };
    let mut headers = vec![
        header("RateLimit-Policy", policy),
        header("RateLimit", state),
    ];
    if wait_ns > 0 {
        headers.push(header("Retry-After", seconds_of(wait_ns).to_string()));
    }
    headers
}
