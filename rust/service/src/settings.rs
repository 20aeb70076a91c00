//! The settings: `[limits.NAME]` and `[service]` of a settings file, each mistake with its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::address::{ClientAddress, Networks};
use crate::key::KeySpec;
use crate::policy::Policy;
use crate::rules::Rules;

/// The settings of one limit.
#[derive(Debug, Clone)]
pub struct Limit {
    pub policy: Policy,
    pub key: KeySpec,
    /// Units that a request uses up.
    pub cost: u64,
    /// It decides and counts, but lets everything pass.
    pub shadow: bool,
}

/// The options, in the file and on the command line.
const OPTIONS: [&str; 19] = [
    "store",
    "capacity",
    "host",
    "port",
    "resp",
    "resp_tables",
    "rls",
    "rls_config",
    "status",
    "token",
    "tls_cert",
    "tls_key",
    "show_keys",
    "threads",
    "proxies",
    "proxy_header",
    "ipv6_prefix",
    "flood_exempt",
    "connections",
];

/// All that the service is told by its file.
#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: BTreeMap<String, Limit>,
    pub store: String,
    pub capacity: u64,
    pub host: String,
    pub port: u16,
    /// The address at which RESP is served, and how many tables commands may open.
    pub resp: Option<(String, u16)>,
    pub resp_tables: usize,
    /// The address at which Envoy's rate limit service is served, and the rules that it keeps.
    pub rls: Option<(String, u16)>,
    rls_config: Option<String>,
    pub rules: Rules,
    /// The status of a denial.
    pub status: u16,
    pub address: ClientAddress,
    /// Event loops, and the most connections of all of them.
    pub threads: usize,
    pub connections: u64,
    /// The facts that whoever asks has to know.
    pub token: Option<String>,
    /// The files of a certificate and of its key.
    pub tls: Option<(String, String)>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    /// Keys are named on the page of figures.
    pub show_keys: bool,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// The mistake, with its line.
    pub fn read(path: &PathBuf) -> Result<Self, String> {
        let named = |error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::parse(&text).map_err(named)
    }

    /// Reads the text of a file; tables of other verbs are theirs.
    ///
    /// # Errors
    /// The mistake, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let reader = Reader(text);
        let whole = DeTable::parse(text)
            .map_err(|error| reader.at(error.span().unwrap_or_default(), error.message()))?;
        let mut found = Self {
            limits: BTreeMap::new(),
            store: "memory://".to_owned(),
            capacity: 65_536,
            host: "127.0.0.1".to_owned(),
            port: 8090,
            resp: None,
            resp_tables: 64,
            rls: None,
            rls_config: None,
            rules: Rules::default(),
            status: 429,
            address: ClientAddress {
                proxies: 0,
                header: "X-Forwarded-For".to_owned(),
                ipv6_prefix: 128,
                flood_exempt: Some(Networks::default()),
            },
            connections: 10_000,
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            token: None,
            tls: None,
            tls_cert: None,
            tls_key: None,
            show_keys: false,
        };
        // In pyproject.toml all of it is below [tool.rateproof].
        let tool = whole
            .get_ref()
            .get("tool")
            .and_then(|tool| tool.get_ref().as_table());
        let nested = tool.and_then(|tool| tool.get("rateproof")?.get_ref().as_table());
        for (name, value) in nested.unwrap_or(whole.get_ref()) {
            match name.get_ref().as_ref() {
                "service" => found.service(reader, reader.table(name.get_ref(), value)?)?,
                "limits" => {
                    for (name, value) in reader.table("limits", value)? {
                        let known =
                            |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                        if !name.get_ref().bytes().all(known) {
                            let form = "a limit has a name of letters, digits, dots, hyphens and underscores";
                            return Err(reader.at(name.span(), form));
                        }
                        let limit =
                            limit(reader, reader.table(name.get_ref(), value)?, value.span())?;
                        found.limits.insert(name.get_ref().to_string(), limit);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Looks at what has to be told together, once all is told.
    ///
    /// # Errors
    /// The name of what is missing.
    pub fn whole(mut self) -> Result<Self, String> {
        self.tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err("tls_cert and tls_key go together".to_owned()),
        };
        match (&self.rls, &self.rls_config) {
            (Some(_), Some(path)) => self.rules = Rules::read(Path::new(path))?,
            (None, None) => {}
            _ => return Err("rls and rls_config go together".to_owned()),
        }
        if self.limits.is_empty() && self.rls.is_none() {
            return Err("no limit (a table such as [limits.api] with a policy)".to_owned());
        }
        Ok(self)
    }

    /// Takes the text of one of the options in [`OPTIONS`].
    ///
    /// # Errors
    /// The form that would be accepted.
    pub fn tell(&mut self, name: &str, text: &str) -> Result<(), String> {
        let whole = |least: u64, most: u64| {
            let number = text
                .parse()
                .ok()
                .filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("{name} is {text:?} ({least} to {most})"))
        };
        match name {
            "store" => self.store = text.to_owned(),
            "host" => self.host = text.to_owned(),
            "port" => self.port = whole(0, 65_535)? as u16,
            "resp" => self.resp = Some(place(name, text)?),
            "rls" => self.rls = Some(place(name, text)?),
            "rls_config" => self.rls_config = Some(text.to_owned()),
            "resp_tables" => self.resp_tables = whole(0, 4096)? as usize,
            "status" => self.status = whole(400, 599)? as u16,
            "capacity" => self.capacity = whole(1, 1 << 26)?,
            "threads" => self.threads = whole(1, 256)? as usize,
            "token" => self.token = Some(secret(text)?),
            "tls_cert" => self.tls_cert = Some(text.to_owned()),
            "tls_key" => self.tls_key = Some(text.to_owned()),
            "show_keys" => {
                let told = text.parse();
                self.show_keys =
                    told.map_err(|_| format!("show_keys is {text:?} (true or false)"))?;
            }
            "proxies" => self.address.proxies = whole(0, 100)? as usize,
            "proxy_header" => self.address.header = text.to_owned(),
            "flood_exempt" => {
                let told = Networks::parse(text);
                self.address.flood_exempt =
                    told.map_err(|error| format!("flood_exempt: {error}"))?;
            }
            "connections" => self.connections = whole(1, 1 << 20)?,
            "ipv6_prefix" => self.address.ipv6_prefix = whole(1, 128)? as u8,
            other => {
                return Err(format!(
                    "no option {other:?} (one of {})",
                    OPTIONS.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn service(&mut self, reader: Reader<'_>, table: &DeTable<'_>) -> Result<(), String> {
        for (name, value) in table {
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Boolean(told) => told.to_string(),
                _ => return Err(reader.at(value.span(), "no text, number, true or false")),
            };
            let told = self.tell(name.get_ref(), &text);
            told.map_err(|error| reader.at(name.span(), &error))?;
        }
        Ok(())
    }
}

/// The secret that `@FILE` or `@env:NAME` tells: on a command line others could read it.
fn secret(form: &str) -> Result<String, String> {
    let found = match (form.strip_prefix("@env:"), form.strip_prefix('@')) {
        (Some(name), _) => std::env::var(name).map_err(|error| format!("token {form}: {error}"))?,
        (None, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| format!("token {form}: {error}"))?
        }
        _ => return Err("token is told as @FILE or @env:NAME".to_owned()),
    };
    let found = found.trim_end_matches(['\r', '\n']);
    let right = !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_graphic());
    let form = || format!("token {form} is not one word of visible ASCII");
    right.then(|| found.to_owned()).ok_or_else(form)
}

/// The host and the port of an address; a Unix socket has a path and no port.
fn place(name: &str, text: &str) -> Result<(String, u16), String> {
    let of_path = text.starts_with("unix:").then(|| (text.to_owned(), 0));
    let of_host = || {
        let (host, port) = text.rsplit_once(':')?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        Some((host.to_owned(), port.parse().ok()?))
    };
    let found = of_path
        .or_else(of_host)
        .filter(|(host, _)| !host.is_empty());
    found.ok_or_else(|| format!("{name} is {text:?} (HOST:PORT or unix:PATH)"))
}

fn limit(reader: Reader<'_>, table: &DeTable<'_>, span: Range<usize>) -> Result<Limit, String> {
    let (mut policy, mut cost, mut shadow) = (None, 1, false);
    let mut key = "query:clientId|header:X-Client-Id|ip".to_owned();
    let mut key_at = span.clone();
    for (name, value) in table {
        let at = value.span();
        match name.get_ref().as_ref() {
            "policy" => {
                let text = reader.text("policy", value)?;
                policy = Some((
                    Policy::parse(&text).map_err(|error| reader.at(at.clone(), &error))?,
                    at,
                ));
            }
            "key" => (key, key_at) = (reader.text("key", value)?, at),
            "cost" => cost = reader.whole("cost", value, 1..=1_000_000)?,
            "shadow" => match value.get_ref().as_bool() {
                Some(told) => shadow = told,
                None => return Err(reader.at(at, "shadow is true or false")),
            },
            // Paths of the server's own.
            "exempt" => {}
            other => {
                let known = "policy, key, cost, shadow, exempt";
                return Err(reader.at(name.span(), &format!("no option '{other}' ({known})")));
            }
        }
    }
    let Some((policy, at)) = policy else {
        return Err(reader.at(span, "a limit without a policy"));
    };
    let most = policy
        .quotas
        .iter()
        .map(|quota| quota.burst)
        .min()
        .unwrap_or(1);
    if cost > most {
        return Err(reader.at(
            at,
            &format!("cost {cost} is above the limit: at most {most}"),
        ));
    }
    let key = KeySpec::parse(&key).map_err(|error| reader.at(key_at, &error))?;
    Ok(Limit {
        policy,
        key,
        cost,
        shadow,
    })
}

/// The text of a file, to name the line of a mistake.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn at(self, span: Range<usize>, what: &str) -> String {
        let before = self.0.get(..span.start).unwrap_or_default();
        format!("line {}: {what}", 1 + before.matches('\n').count())
    }

    fn table<'v>(
        self,
        name: &str,
        value: &'v Spanned<DeValue<'v>>,
    ) -> Result<&'v DeTable<'v>, String> {
        let found = value.get_ref().as_table();
        found.ok_or_else(|| self.at(value.span(), &format!("{name} is not a table")))
    }

    fn text(self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
        let found = value.get_ref().as_str().map(str::to_owned);
        found.ok_or_else(|| self.at(value.span(), &format!("{name} is not a text")))
    }

    fn whole(
        self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, String> {
        let told = value.get_ref().as_integer();
        let number = told.and_then(|told| u64::from_str_radix(told.as_str(), told.radix()).ok());
        let form = || format!("{name} is {} to {}", range.start(), range.end());
        let found = number.filter(|number| range.contains(number));
        found.ok_or_else(|| self.at(value.span(), &form()))
    }
}
