//! The YAML of envoyproxy/ratelimit, read as it is into rules, each mistake with its line.
//!
//! Source: README.md and `config_impl.go` of github.com/envoyproxy/ratelimit.

use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use saphyr::MarkedYaml;

use crate::rules::{Level, Node, Rate, Rule, Rules, UNITS};
use crate::settings::text_of;
use crate::visible::visible;
use crate::yaml::{self, fields, flag, list, scalar, unknown, whole, wrong};

/// The most bytes of a file.
const MOST_BYTES: u64 = 4 << 20;
/// The largest limit that a table counts.
const MOST_REQUESTS: u32 = 1_000_000_000;
const DESCRIPTOR: &str = "key, value, rate_limit, shadow_mode, quota_mode, share_threshold, \
                          detailed_metric, value_to_metric, metadata, descriptors";

impl Rules {
    /// Reads a file, or all `.yaml` and `.yml` of a folder: a domain each.
    ///
    /// # Errors
    /// The mistake, with file and line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |path: &Path, error| format!("{}: {error}", path.display());
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            let found = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let found = found.map_err(|error| failed(path, error))?;
            let mut named: Vec<PathBuf> = found.iter().map(fs::DirEntry::path).collect();
            let is_yaml = |path: &PathBuf| {
                let ending = path.extension().and_then(|ending| ending.to_str());
                ending.is_some_and(|ending| ["yaml", "yml"].contains(&ending))
            };
            named.retain(|path| is_yaml(path) && path.is_file());
            named.sort();
            files = named;
        }
        let mut rules = Self::default();
        for file in files {
            let size = fs::metadata(&file)
                .map_err(|error| failed(&file, error))?
                .len();
            if size > MOST_BYTES {
                return Err(format!(
                    "{}: {size} bytes, at most {MOST_BYTES}",
                    file.display()
                ));
            }
            let added = text_of(&file).and_then(|text| rules.add(&text));
            added.map_err(|error| format!("{}, {error}", file.display()))?;
        }
        match rules.domains.is_empty() {
            true => Err(format!("{}: no .yaml file in it", path.display())),
            false => Ok(rules),
        }
    }

    /// Adds the domain of a file.
    ///
    /// # Errors
    /// The mistake, with its line.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let document = &yaml::document(text)?;
        let (mut domain, mut descriptors) = (String::new(), None);
        for (name, value) in fields(document, "the file")? {
            match name {
                "domain" => domain = scalar(value, name)?.to_owned(),
                "descriptors" => descriptors = Some(value),
                other => return Err(unknown(value, other, "domain, descriptors")),
            }
        }
        if domain.is_empty() {
            return Err(wrong(document, "no domain"));
        }
        if self.domains.contains_key(domain.as_bytes()) {
            return Err(wrong(
                document,
                &format!("domain {domain:?} is in another file, too"),
            ));
        }
        let mut level = Level::default();
        if let Some(descriptors) = descriptors {
            self.load(&mut level, descriptors, &step(&domain), &[])?;
        }
        self.domains.insert(domain.into_bytes(), level);
        Ok(())
    }

    fn load(
        &mut self,
        level: &mut Level,
        descriptors: &MarkedYaml<'_>,
        path: &str,
        keys: &[&str],
    ) -> Result<(), String> {
        for descriptor in list(descriptors, "descriptors")? {
            let (mut key, mut value) = ("", "");
            let (mut limit, mut below) = (None, None);
            let (mut shadow, mut shares, mut alternative) = (false, false, false);
            for (name, told) in fields(descriptor, "a descriptor")? {
                match name {
                    "key" => key = scalar(told, name)?,
                    "value" => value = scalar(told, name)?,
                    "rate_limit" => limit = Some(told),
                    "descriptors" => below = Some(told),
                    "shadow_mode" => shadow = flag(told, name)?,
                    "quota_mode" => alternative = flag(told, name)?,
                    "share_threshold" => shares = flag(told, name)?,
                    // Only figures and metadata of envoyproxy/ratelimit depend on them.
                    "detailed_metric" | "value_to_metric" => drop(flag(told, name)?),
                    "metadata" => {}
                    other => return Err(unknown(told, other, DESCRIPTOR)),
                }
            }
            if key.is_empty() {
                return Err(wrong(descriptor, "a descriptor without a key"));
            }
            let text = match value {
                "" => key.to_owned(),
                value => format!("{key}_{value}"),
            };
            let path = format!("{path}>{}", step(&text));
            let wild = text.contains('*');
            if shares && !wild {
                let reason = format!("share_threshold of {text:?}: only a value with a * has it");
                return Err(wrong(descriptor, &reason));
            }
            let keys: Vec<&str> = keys.iter().copied().chain([key]).collect();
            let mut node = Node {
                rule: None,
                shared: shares.then(|| value.as_bytes().to_vec()),
                below: Level::default(),
            };
            if let Some(limit) = limit {
                let mut rule = rule(limit, shadow)?;
                rule.path.clone_from(&path);
                rule.alternative = alternative;
                let label = match rule.name.as_str() {
                    "" => keys.join("."),
                    name => name.to_owned(),
                };
                rule.label = visible(&label);
                node.rule = Some(self.all.len());
                self.all.push(rule);
            }
            if let Some(below) = below {
                self.load(&mut node.below, below, &path, &keys)?;
            }
            if wild {
                level.patterns.push(text.clone().into_bytes());
            }
            match level.by_text.entry(text.into_bytes()) {
                Entry::Occupied(_) => {
                    return Err(wrong(descriptor, &format!("{path:?} is there twice")));
                }
                Entry::Vacant(place) => drop(place.insert(node)),
            }
        }
        Ok(())
    }
}

/// A step of a path, without the sign between two: no two rules have one path, and none has the name of
/// a limit, in which there is no such sign.
fn step(text: &str) -> String {
    text.replace('%', "%25").replace('>', "%3E")
}

/// A rule without its place.
fn rule(limit: &MarkedYaml<'_>, shadow: bool) -> Result<Rule, String> {
    let (mut unit, mut requests, mut unlimited) = (None, None, false);
    let (mut own, mut replaces) = ("", Vec::new());
    for (name, told) in fields(limit, "rate_limit")? {
        match name {
            "unit" => {
                let text = scalar(told, name)?;
                let known = |unit: &&(&str, i32, u64)| unit.0.eq_ignore_ascii_case(text);
                let names = UNITS.map(|(name, ..)| name).join(", ");
                let error = || wrong(told, &format!("unit {text:?} (one of {names})"));
                unit = Some(UNITS.iter().find(known).ok_or_else(error)?.1);
            }
            "requests_per_unit" => {
                requests = Some(whole(told, name, MOST_REQUESTS)?);
            }
            "unlimited" => unlimited = flag(told, name)?,
            "name" => own = scalar(told, name)?,
            "replaces" => {
                for each in list(told, name)? {
                    for (name, told) in fields(each, "replaces")? {
                        match name {
                            "name" => replaces.push(scalar(told, name)?.to_owned()),
                            other => return Err(unknown(told, other, "name")),
                        }
                    }
                }
            }
            other => {
                let known = "unit, requests_per_unit, unlimited, name, replaces";
                return Err(unknown(told, other, known));
            }
        }
    }
    if replaces.iter().any(|name| name.is_empty() || name == own) {
        return Err(wrong(limit, "replaces names nothing, or the rule itself"));
    }
    let rate = match (unlimited, unit, requests) {
        (true, None, _) => None,
        (true, Some(_), _) => return Err(wrong(limit, "unlimited has no unit")),
        (false, Some(unit), Some(requests)) => Some(Rate { requests, unit }),
        (false, None, _) => return Err(wrong(limit, "rate_limit without a unit")),
        (false, _, None) => return Err(wrong(limit, "rate_limit without requests_per_unit")),
    };
    if let Some(rate) = rate {
        rate.quota(true).map_err(|error| wrong(limit, &error))?;
    }
    Ok(Rule {
        path: String::new(),
        name: own.to_owned(),
        label: String::new(),
        rate,
        shadow,
        alternative: false,
        replaces,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The rules of domain `d` with these descriptors.
    pub fn rules(text: &str) -> Result<Rules, String> {
        let mut rules = Rules::default();
        rules.add(&format!("domain: d\ndescriptors:\n{text}"))?;
        Ok(rules)
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let limit = "rate_limit: {unit: day, requests_per_unit: 1}";
        let of_rate = |(rate, reason): (&str, &'static str)| {
            (format!("- key: a\n  rate_limit: {rate}"), 4, reason)
        };
        let rates = [
            ("{unit: eon}", "unit \"eon\""),
            ("{unit: day}", "without requests_per_unit"),
            ("{requests_per_unit: 1}", "without a unit"),
            ("{unlimited: true, unit: day}", "has no unit"),
            ("{requests_per_unit: -1}", "\"-1\""),
            ("{requests_per_unit: 4294967296}", "4294967296"),
            ("{requests_per_unit: 1000000001}", "\"1000000001\" (0 to"),
            ("{shadow_mode: true}", "\"shadow_mode\""),
            ("{name: x, replaces: [{name: x}]}", "itself"),
            ("{requests_per_unit: 1e3}", "is \"1e3\" (0 to"),
            ("{requests_per_unit: '5'}", "is \"5\" (0"),
            ("{requests_per_unit: 08}", "is \"08\" (0"),
            (
                "{requests_per_unit: 99999999999999999999}",
                "9\" (0 to 1000000000)",
            ),
        ];
        let merged = "- &a {key: a, rate_limit: {unit: day}}\n- {<<: *a, rate_limit: {unit: day}}";
        let others = [
            ("- value: x", 3, "without a key"),
            ("- {key: a}\n- {key: a}", 4, "\"d>a\" is there twice"),
            ("- key: a\n  ratelimit: {}", 4, "\"ratelimit\" is no key"),
            ("- key: a\n  key: b", 4, "duplicated key"),
            ("- key: a\n  rate_limit:\n    name: [x]", 5, "name is not"),
            ("- key: a\n  quota_mode: maybe", 4, "quota_mode"),
            ("- key: a\n  shadow_mode: maybe", 4, "true or false"),
            (
                "- {key: a, value: x, share_threshold: on}",
                3,
                "share_threshold",
            ),
            ("- key: [a]", 3, "not a text"),
            ("- a", 3, "not a mapping"),
            ("- key: a\n  descriptors: {key: b}", 4, "not a list"),
            ("- {? [a] : b}", 3, "no text"),
            ("- key: a\n  shadow_mode: 'true'", 4, "\"true\" (true or"),
            ("- key: !!binary YQ==", 3, "the tag"),
            ("- !shop {key: a}", 3, "the tag"),
            ("- key: a\n  <<: b", 4, "<< is not a mapping"),
            ("- &a {key: b}\n- <<: [*a, c]", 4, "<< is not a mapping"),
            (merged, 3, "without requests_per_unit"),
            ("- key: a\n\tvalue: b", 3, "found a tab"),
            ("- key: a\n...\n---\ndomain: e", 6, "a second document"),
            ("- key: a\n - key: b", 4, ""),
            ("- key: *none", 3, ""),
            ("- key: \"a", 3, ""),
        ];
        let others = others.map(|(text, line, reason)| (text.to_owned(), line, reason));
        for (text, line, reason) in rates.map(of_rate).into_iter().chain(others) {
            let error = rules(&text).expect_err(&text);
            assert!(
                error.starts_with(&format!("line {line}: ")),
                "{text}: {error}"
            );
            assert!(error.contains(reason), "{text}: {error}");
        }
        let nested = "- {key: a, descriptors: [{".to_owned();
        let nested = nested + &"key: a, descriptors: [{".repeat(100) + "key: a" + &"}]".repeat(101);
        let doubled = (1..64).map(|last| format!("\n- &a{last} [*a{0}, *a{0}]", last - 1));
        let aliases = format!("- &a0 [x, x]{}", doubled.collect::<String>());
        for text in [
            format!("{nested}}}"),
            "[".repeat(100_000),
            "- ".repeat(100_000),
            aliases,
        ] {
            rules(&text).expect_err("it is too deep");
        }
        for text in [
            "",
            "domain: d\n---\ndomain: e",
            "[]",
            "domain: ''",
            "domain:",
            "x: y",
        ] {
            let mut rules = Rules::default();
            assert!(
                rules.add(text).expect_err(text).starts_with("line "),
                "{text}"
            );
        }
        let merged = format!("- &a {{key: a, {limit}}}\n- {{key: b, <<: *a, {limit}}}");
        let error = rules(&merged).expect_err("the limits would be mixed");
        assert!(
            error.starts_with("line 4: rate_limit is merged by <<"),
            "{error}"
        );
        let mut twice = rules(&format!("- {{key: a, {limit}}}")).expect("they are rules");
        assert!(
            twice
                .add("domain: d")
                .expect_err("twice")
                .contains("another file")
        );
    }

    #[test]
    fn anchors_merges_and_numbers_are_read_as_yaml_v2_reads_them() {
        let read = |text: &str| {
            let all = rules(text)
                .unwrap_or_else(|error| panic!("{text}: {error}"))
                .all;
            let told = all
                .into_iter()
                .map(|rule| (rule.path, rule.rate.map(|rate| rate.requests)));
            told.collect::<Vec<_>>()
        };
        for (text, number) in [
            ("5", 5),
            ("+5", 5),
            ("0", 0),
            ("1_000", 1_000),
            ("0x1F", 31),
            ("0X10", 16),
            ("0o17", 15),
            ("017", 15),
            ("0b1_01", 5),
            ("1__0_", 10),
        ] {
            let text =
                format!("- {{key: a, rate_limit: {{unit: day, requests_per_unit: {text}}}}}");
            assert_eq!(read(&text), [("d>a".to_owned(), Some(number))], "{text}");
        }
        let limit = "rate_limit: {unit: day, requests_per_unit: 1}";
        for (text, path) in [
            (
                format!("- &a {{key: a, {limit}}}\n- {{<<: *a, key: b}}"),
                "d>b",
            ),
            (
                format!("- &a {{key: a, {limit}}}\n- {{key: b, value: c, <<: *a}}"),
                "d>a_c",
            ),
            (
                format!("- &a {{key: a, {limit}}}\n- &b {{key: b}}\n- {{<<: [*b, *a], value: c}}"),
                "d>b_c",
            ),
            (format!("- &a {{key: a, {limit}}}\n- {{\"<<\": *a}}"), ""),
            (
                format!("- &a {{key: a, value: b, {limit}}}\n- {{<<: *a, value: ~}}"),
                "d>a",
            ),
        ] {
            let found = rules(&text).map(|rules| rules.all[1].path.clone());
            assert_eq!(found.unwrap_or_default(), path, "{text}");
        }
        for (text, shadow) in [
            ("y", true),
            ("ON", true),
            ("True", true),
            ("n", false),
            ("~", false),
        ] {
            let text = format!("- {{key: a, shadow_mode: {text}, {limit}}}");
            assert_eq!(
                rules(&text).expect("they are rules").all[0].shadow,
                shadow,
                "{text}"
            );
        }
    }

    #[test]
    fn what_only_figures_depend_on_is_read_past() {
        let limit = "rate_limit: {unit: DAY, requests_per_unit: 1, name: x}";
        let text = format!(
            "- {{key: a, detailed_metric: true, value_to_metric: on, quota_mode: false, \
             metadata: {{any: [1, {{of: it}}]}}, descriptors:, {limit}}}"
        );
        assert_eq!(rules(&text).expect("they are rules").all.len(), 1);
    }
}
