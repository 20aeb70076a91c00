//! The settings: `[limits.NAME]` and `[service]` of a settings file, each mistake with its line.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::address::{ClientAddress, Networks};
use crate::key::KeySpec;
use crate::policy::Policy;
use crate::request::is_token;
use crate::rules::Rules;
use crate::visible::quoted;

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
const OPTIONS: &str = "store, capacity, host, port, resp, resp_tables, rls, rls_config, status, token, \
                       tls_cert, tls_key, show_keys, threads, proxies, proxy_header, ipv6_prefix, \
                       flood_exempt, connections";

/// The file in which all is below `[tool.rateproof]`, and tables that are of other verbs.
const PROJECT: &str = "pyproject.toml";
const OTHERS: [&str; 3] = ["probe", "serve", "test"];

/// All that the service is told by its file.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub limits: BTreeMap<String, Limit>,
    pub store: String,
    pub capacity: u64,
    /// The place where HTTP is served: `None` is not told.
    pub host: Option<String>,
    pub port: Option<u16>,
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
    /// The files of a certificate and of its key: both, or none.
    pub tls_cert: Option<String>,
    pub tls_key: Option<String>,
    /// Keys are named on the page of figures.
    pub show_keys: bool,
    /// The lines of the file at which options stand.
    pub lines: BTreeMap<String, usize>,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// The mistake, with its line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error| format!("{}: {error}", path.display());
        let text = text_of(path).map_err(named)?;
        let of_project = path.file_name().is_some_and(|name| name == PROJECT);
        Self::parse(&text, of_project).map_err(named)
    }

    /// Reads the text of a file, of a project's below `[tool.rateproof]`; tables of other verbs are
    /// theirs.
    ///
    /// # Errors
    /// The mistake, with its line.
    pub fn parse(text: &str, of_project: bool) -> Result<Self, String> {
        let reader = Reader(text);
        let whole = DeTable::parse(text)
            .map_err(|error| reader.at(error.span().unwrap_or_default(), error.message()))?;
        let mut found = Self {
            store: "memory://".to_owned(),
            capacity: 65_536,
            resp_tables: 64,
            status: 429,
            address: ClientAddress {
                header: "X-Forwarded-For".to_owned(),
                ipv6_prefix: 128,
                flood_exempt: Some(Networks::default()),
                ..ClientAddress::default()
            },
            connections: 10_000,
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            ..Self::default()
        };
        let mut top = whole.get_ref();
        for name in ["tool", "rateproof"].iter().filter(|_| of_project) {
            let below = top.get(*name).and_then(|below| below.get_ref().as_table());
            top = below.ok_or("no table [tool.rateproof]")?;
        }
        for (name, value) in top {
            let table = reader.table(name.get_ref(), value);
            match name.get_ref().as_ref() {
                "service" => found.service(reader, table?)?,
                "limits" => {
                    for (name, value) in table? {
                        let known =
                            |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                        let length = name.get_ref().len();
                        if !(1..=64).contains(&length) || !name.get_ref().bytes().all(known) {
                            let form = format!(
                                "{:?} is no name of a limit: letters, digits, dots, hyphens and underscores, at most 64",
                                name.get_ref()
                            );
                            return Err(reader.at(name.span(), &form));
                        }
                        let limit =
                            limit(reader, reader.table(name.get_ref(), value)?, value.span())?;
                        found.limits.insert(name.get_ref().to_string(), limit);
                    }
                }
                other if OTHERS.contains(&other) => drop(table?),
                other => {
                    let known = OTHERS.join(", ");
                    let error = format!("no table '{other}' (one of limits, service, {known})");
                    return Err(reader.at(name.span(), &error));
                }
            }
        }
        Ok(found)
    }

    /// Looks at what has to be told together, once all is told, in the `file` and elsewhere;
    /// `rls_handed`: a socket for rules was handed over.
    ///
    /// # Errors
    /// The name of what is missing, and the place of what needs it.
    pub fn whole(mut self, file: &Path, rls_handed: bool) -> Result<Self, String> {
        let at = |name| match self.lines.get(name) {
            Some(line) => format!("{}: line {line}: ", file.display()),
            None => String::new(),
        };
        let pair = [("tls_cert", &self.tls_cert), ("tls_key", &self.tls_key)];
        if let [(told, Some(file)), (lacking, None)] | [(lacking, None), (told, Some(file))] = pair
        {
            return Err(format!(
                "{}{told} is {file:?}, and there is no {lacking}: a certificate and its key go together",
                at(told)
            ));
        }
        if let (Some(host), Some(port)) = (&self.host, self.port)
            && host.starts_with("unix:")
        {
            let (host_at, port_at) = (at("host"), at("port"));
            return Err(format!(
                "{host_at}host is {host:?}, and {port_at}port is {port}: a Unix socket has no port"
            ));
        }
        match (&self.rls_config, self.rls.is_some() || rls_handed) {
            (Some(path), true) => self.rules = Rules::read(Path::new(path))?,
            (None, false) => {}
            (Some(_), false) => {
                let form = "rls, or a socket named rls that systemd hands over";
                let at = at("rls_config");
                return Err(format!("{at}rls_config needs an address ({form})"));
            }
            (None, true) => {
                let form = "a file of rules, or a folder of such files";
                let at = at("rls");
                return Err(format!(
                    "{at}an address or a socket for rls needs rls_config ({form})"
                ));
            }
        }
        if self.limits.is_empty() && self.rls_config.is_none() {
            return Err("no limit (a table such as [limits.api] with a policy)".to_owned());
        }
        Ok(self)
    }

    /// Takes the text of one of the options in [`OPTIONS`].
    ///
    /// # Errors
    /// The form that would be accepted.
    pub fn tell(&mut self, name: &str, text: &str) -> Result<(), String> {
        let whole = |least, most| whole(name, text, least, most);
        match name {
            "store" => self.store = text.to_owned(),
            "host" => self.host = Some(host(name, text)?),
            "port" => self.port = Some(whole(0, 65_535)? as u16),
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
            "show_keys" => self.show_keys = flag(name, text)?,
            "proxies" => self.address.proxies = whole(0, 100)? as usize,
            "proxy_header" => {
                if !is_token(text.as_bytes()) {
                    return Err(format!("proxy_header is {text:?} (the name of a field)"));
                }
                self.address.header = text.to_owned();
            }
            "flood_exempt" => {
                let told = Networks::parse(text);
                self.address.flood_exempt =
                    told.map_err(|error| format!("flood_exempt: {error}"))?;
            }
            "connections" => self.connections = whole(1, 1 << 20)?,
            "ipv6_prefix" => self.address.ipv6_prefix = whole(1, 128)? as u8,
            other => {
                return Err(format!("no option {other:?} (one of {OPTIONS})"));
            }
        }
        Ok(())
    }

    fn service(&mut self, reader: Reader<'_>, table: &DeTable<'_>) -> Result<(), String> {
        for (name, value) in table {
            let text = reader.text(name.get_ref(), value)?;
            let told = self.tell(name.get_ref(), &text);
            told.map_err(|error| reader.at(name.span(), &error))?;
            let line = reader.line(&name.span());
            self.lines.insert(name.get_ref().to_string(), line);
        }
        Ok(())
    }

    /// The address at which HTTP is served.
    pub fn http(&self) -> (String, u16) {
        let host = self.host.as_deref().unwrap_or("127.0.0.1");
        (host.to_owned(), self.port.unwrap_or(8090))
    }
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, or a line is not UTF-8.
pub fn text_of(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line}: not UTF-8")
    })
}

fn flag(name: &str, text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{name} is {text:?} (true or false)")),
    }
}

fn whole(name: &str, text: &str, least: u64, most: u64) -> Result<u64, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    let found = number.filter(|number| (least..=most).contains(number));
    found.ok_or_else(|| format!("{name} is {text:?} ({least} to {most})"))
}

/// The secret that `@FILE` or `@env:NAME` tells: on a command line others could read it.
fn secret(form: &str) -> Result<String, String> {
    let found = match (form.strip_prefix("@env:"), form.strip_prefix('@')) {
        (Some(name), _) => match std::env::var_os(name) {
            None => return Err(format!("token {form}: no such variable")),
            Some(found) => found.into_string().unwrap_or_default(), // told as no word of ASCII, not shown
        },
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

/// A host as sockets take it, or the path of a Unix socket.
fn host(name: &str, text: &str) -> Result<String, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bare.unwrap_or(text);
    let right = match text.strip_prefix("unix:") {
        Some(path) => !path.is_empty() && !path.starts_with('@'),
        None if bare.len() < text.len() || bare.contains(':') => {
            let (address, _zone) = bare.split_once('%').unwrap_or((bare, ""));
            address.parse::<Ipv6Addr>().is_ok()
        }
        None => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
    };
    let form = "a name, an address or unix:PATH, which begins with no @";
    right
        .then(|| bare.to_owned())
        .ok_or_else(|| format!("{name} is {text:?} ({form})"))
}

/// An address as text.
pub fn shown((host, port): &(String, u16)) -> String {
    match host.starts_with("unix:") {
        true => host.clone(),
        false => format!("{host}, port {port}"),
    }
}

/// The host and the port of an address; a Unix socket has a path and no port.
fn place(name: &str, text: &str) -> Result<(String, u16), String> {
    let found = match text.starts_with("unix:") {
        true => host(name, text).map(|path| (path, 0)),
        false => text
            .rsplit_once(':')
            .map_or(Err(String::new()), |(told, port)| {
                let port = whole(name, port, 0, 65_535)? as u16;
                host(name, told).map(|host| (host, port))
            }),
    };
    found
        .map_err(|_| format!("{name} is {text:?} (HOST:PORT or unix:PATH, which begins with no @)"))
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
            "cost" => {
                let told = whole("cost", &reader.text("cost", value)?, 1, 1_000_000);
                cost = told.map_err(|error| reader.at(at, &error))?;
            }
            "shadow" => {
                let told = flag("shadow", &reader.text("shadow", value)?);
                shadow = told.map_err(|error| reader.at(at, &error))?;
            }
            // Paths of the server's own.
            "exempt" => drop(reader.text("exempt", value)?),
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
    // Else who counts requests could not say how many are let through.
    let figures = policy
        .quotas
        .iter()
        .flat_map(|quota| [quota.limit, quota.burst]);
    if let Some(figure) = figures.into_iter().find(|figure| figure % cost > 0) {
        return Err(reader.at(at, &format!("cost {cost} does not divide {figure}")));
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
    fn line(self, span: &Range<usize>) -> usize {
        let before = self.0.get(..span.start).unwrap_or_default();
        1 + before.matches('\n').count()
    }

    fn at(self, span: Range<usize>, what: &str) -> String {
        format!("line {}: {what}", self.line(&span))
    }

    fn table<'v>(
        self,
        name: &str,
        value: &'v Spanned<DeValue<'v>>,
    ) -> Result<&'v DeTable<'v>, String> {
        let found = value.get_ref().as_table();
        found.ok_or_else(|| self.at(value.span(), &format!("{name} is not a table")))
    }

    /// The text of a value: of a number, too, and of an array of texts, as `_as_text` in `reader.py`.
    fn text(self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
        let found = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Boolean(told) => Some(told.to_string()),
            DeValue::Integer(told) => {
                let number = i64::from_str_radix(told.as_str(), told.radix());
                // What is out of range is named as it is written.
                Some(number.map_or_else(|_| told.to_string(), |number| number.to_string()))
            }
            DeValue::Array(items) => {
                let one = |item: &Spanned<DeValue<'_>>| {
                    let text = item.get_ref().as_str().filter(|text| !text.contains(','));
                    text.map(str::to_owned)
                };
                let texts: Option<Vec<String>> = items.iter().map(one).collect();
                texts.map(|texts| texts.join(","))
            }
            _ => None,
        };
        found.ok_or_else(|| {
            let told = self.0.get(value.span()).unwrap_or_default();
            let form = "a text, a whole number, true or false, or texts without commas";
            self.at(
                value.span(),
                &format!("{name} is {} ({form})", quoted(told.as_bytes())),
            )
        })
    }
}
