//! Rules of Envoy's rate limit service, and the one that a descriptor meets.
//!
//! Source: README.md and `config_impl.go` of github.com/envoyproxy/ratelimit.

use std::collections::HashMap;

use rateproof_enforce::key::write_part;
use rateproof_enforce::{Algorithm, Quota};

use crate::policy::Text;

/// The largest limit that is kept by an exact log.
const MOST_EXACT: u32 = 1_000;
const SECOND_NS: u64 = 1_000_000_000;
/// The units by their numbers in the protocol. A month has 30 days, a year 365.
pub const UNITS: [(&str, i32, u64); 7] = [
    ("second", 1, SECOND_NS),
    ("minute", 2, 60 * SECOND_NS),
    ("hour", 3, 3_600 * SECOND_NS),
    ("day", 4, 86_400 * SECOND_NS),
    ("week", 7, 7 * 86_400 * SECOND_NS),
    ("month", 5, 30 * 86_400 * SECOND_NS),
    ("year", 6, 365 * 86_400 * SECOND_NS),
];

/// A limit of so many requests in a unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub requests: u32,
    /// As the protocol numbers it.
    pub unit: i32,
}

impl Rate {
    /// The length of its unit, if there is such a unit.
    pub fn window_ns(self) -> Option<u64> {
        let known = UNITS.iter().find(|(_, number, _)| *number == self.unit);
        known.map(|(_, _, window_ns)| *window_ns)
    }

    /// The quota that keeps it; `None` where nothing may pass.
    ///
    /// # Errors
    /// The unit is unknown, or no table counts so many.
    pub fn quota(self, exact: bool) -> Result<Option<Quota>, String> {
        let window_ns = self.window_ns();
        let window_ns =
            window_ns.ok_or_else(|| format!("unit {} is unknown (1 to 7)", self.unit))?;
        let algorithm = match exact && self.requests <= MOST_EXACT {
            true => Algorithm::SLIDING_LOG,
            false => Algorithm::SLIDING_BLOCKS,
        };
        let quota = Quota::new(algorithm, self.requests.into(), window_ns);
        if self.requests == 0 {
            return Ok(None);
        }
        let checked = quota.check().map_err(|error| error.to_string());
        checked.map(|()| Some(quota))
    }
}

/// A rule of the file: what a descriptor that meets it may do.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its domain, and each key and value on the way to it, such as `shop>user_vip`.
    pub path: String,
    /// Empty where it has none.
    pub name: String,
    /// Its name in RateLimit: that, or else the keys on the way to it.
    pub label: String,
    /// `None`: unlimited.
    pub rate: Option<Rate>,
    pub shadow: bool,
    /// It denies only where all of these that a request meets are over their limits (`quota_mode`).
    pub alternative: bool,
    /// Names of rules that do not count where this one does.
    pub replaces: Vec<String>,
}

impl Rule {
    /// The policy that it keeps, as text.
    pub fn promise(&self) -> String {
        match self.rate.map(|rate| rate.quota(true)) {
            None => "unlimited".to_owned(),
            Some(Ok(Some(quota))) => Text(&quota).to_string(),
            Some(_) => "nothing passes".to_owned(),
        }
    }
}

/// All rules, and the ways to them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub domains: HashMap<Vec<u8>, Level>,
    pub all: Vec<Rule>,
}

/// The descriptors that may come next.
#[derive(Debug, Clone, Default)]
pub struct Level {
    /// By `key_value`, or by `key` for any value.
    pub by_text: HashMap<Vec<u8>, Node>,
    /// Those with a `*`, in the order of the file.
    pub patterns: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub rule: Option<usize>,
    /// All values of the pattern share one limit.
    pub shared: Option<Vec<u8>>,
    pub below: Level,
}

impl Rules {
    /// True if there is such a domain.
    pub fn knows(&self, domain: &[u8]) -> bool {
        self.domains.contains_key(domain)
    }

    /// The number of the rule that a descriptor meets: key and value first, then patterns, then the key
    /// alone, and as many levels as it has entries. The key that it counts under is written into `key`.
    pub fn find<'e>(
        &self,
        domain: &[u8],
        entries: impl IntoIterator<Item = (&'e [u8], &'e [u8])>,
        key: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut level = self.domains.get(domain)?;
        let (mut found, mut text) = (None, Vec::with_capacity(64));
        write_part(key, "domain", domain);
        for (name, value) in entries {
            text.clear();
            text.extend_from_slice(name);
            text.push(b'_');
            text.extend_from_slice(value);
            let matches = |pattern: &&Vec<u8>| is_like(&text, pattern);
            let pattern = || level.patterns.iter().find(matches);
            let node = level
                .by_text
                .get(&text)
                .or_else(|| level.by_text.get(pattern()?))
                .or_else(|| level.by_text.get(name))?;
            write_part(key, "key", name);
            match &node.shared {
                Some(pattern) => write_part(key, "values", pattern),
                None => write_part(key, "value", value),
            }
            (found, level) = (node.rule, &node.below);
        }
        found
    }
}

/// True if a text is like a pattern, in which each `*` stands for any bytes, or none.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts.filter(|part| !part.is_empty()) {
        match rest.windows(part.len()).position(|found| found == part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::tests::rules;

    /// The path of the rule that a descriptor meets, and the key that it counts under.
    fn found(rules: &Rules, entries: &[(&str, &str)]) -> Option<(String, String)> {
        let mut key = Vec::new();
        let pairs = entries.iter();
        let pairs = pairs.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        let number = rules.find(b"d", pairs, &mut key)?;
        let key = String::from_utf8(key).expect("it is text");
        Some((rules.all[number].path.clone(), key))
    }

    #[test]
    fn a_star_stands_for_any_bytes() {
        for (pattern, yes, no) in [
            ("a*", &["a", "ab", "a*"][..], &["", "b", "ba"][..]),
            ("a*b*c", &["abc", "axbxc", "abbcc"], &["ab", "acb", "abcx"]),
            ("*b", &["b", "ab"], &["", "ba"]),
            ("a*a", &["aa", "aaa"], &["a"]),
            ("a**b", &["ab", "axb"], &["a"]),
        ] {
            for text in yes {
                assert!(
                    is_like(text.as_bytes(), pattern.as_bytes()),
                    "{pattern} {text}"
                );
            }
            for text in no {
                assert!(
                    !is_like(text.as_bytes(), pattern.as_bytes()),
                    "{pattern} {text}"
                );
            }
        }
    }

    #[test]
    fn a_descriptor_meets_the_nearest_rule_with_as_many_levels() {
        let limit = "rate_limit: {unit: day, requests_per_unit: 1}";
        let rules = rules(&format!(
            "- {{key: a, {limit}}}\n\
             - {{key: a, value: 404, {limit}}}\n\
             - {{key: a, value: 4*, {limit}}}\n\
             - {{key: a, value: '*', {limit}, descriptors: [{{key: b, value: null, {limit}}}]}}\n\
             - {{key: s, value: x*, share_threshold: true, descriptors: [{{key: b, {limit}}}]}}\n\
             - {{key: free}}\n"
        ));
        let rules = rules.expect("they are rules");
        let path = |entries: &[_]| found(&rules, entries).map(|(path, _)| path);
        assert_eq!(path(&[("a", "404")]).as_deref(), Some("d>a_404"));
        assert_eq!(path(&[("a", "405")]).as_deref(), Some("d>a_4*"));
        assert_eq!(path(&[("a", "x")]).as_deref(), Some("d>a_*"));
        assert_eq!(path(&[("a", "x"), ("b", "y")]).as_deref(), Some("d>a_*>b"));
        for nothing in [
            &[][..],
            &[("free", "x")],
            &[("free", "x"), ("a", "x")],
            &[("a", "404"), ("b", "y")],
            &[("a", "x"), ("b", "y"), ("c", "z")],
            &[("b", "y")],
            &[("s", "x")],
        ] {
            assert_eq!(path(nothing), None, "{nothing:?}");
        }
        let key = |value| found(&rules, &[("s", value), ("b", "y")]).map(|(_, key)| key);
        assert!(key("x1").is_some());
        assert_eq!(key("x1"), key("x2"), "they share a limit");
        assert_eq!(
            key("x1"),
            key("x*"),
            "nobody has another one by the text of the pattern"
        );
    }

    #[test]
    fn no_two_rules_have_one_path_and_none_has_the_name_of_a_limit() {
        let mut rules = Rules::default();
        for (domain, keys) in [
            ("a", &["b.c", "b>c", "b%3Ec", "b%253Ec"][..]),
            ("a.b", &["c"]),
            ("a>b", &["c"]),
            ("a%3Eb", &["c"]),
        ] {
            let rate = "rate_limit: {unit: day, requests_per_unit: 1}";
            let mut text = format!("domain: '{domain}'\ndescriptors:\n");
            for key in keys {
                text += &format!("- {{key: '{key}', {rate}}}\n");
            }
            text += &format!("- {{key: b, descriptors: [{{key: c, {rate}}}]}}\n");
            rules.add(&text).expect("they are rules");
        }
        let mut paths: Vec<&str> = rules.all.iter().map(|rule| rule.path.as_str()).collect();
        assert!(paths.contains(&"a>b.c") && paths.contains(&"a.b>c"));
        assert!(paths.iter().all(|path| path.contains('>')));
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), 11);
    }

    #[test]
    fn a_limit_above_a_thousand_is_kept_by_blocks() {
        let promise = |requests, unit| {
            Rule {
                path: String::new(),
                name: String::new(),
                label: String::new(),
                rate: Some(Rate { requests, unit }),
                shadow: false,
                alternative: false,
                replaces: Vec::new(),
            }
            .promise()
        };
        assert_eq!(promise(1_000, 1), "1000 per 1s");
        assert_eq!(promise(1_001, 2), "sliding-blocks 1001 per 1m");
        assert_eq!(promise(9, 7), "9 per 7d");
        assert_eq!(promise(9, 6), "9 per 365d");
    }
}
