//! YAML, of which each mistake is named with its line.

use std::slice;

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::{Event, Marker, Parser, ScanError, SpannedEventReceiver};

/// The most levels.
const MOST_DEPTH: usize = 128;

/// The one document of a text.
///
/// # Errors
/// The mistake, with its line.
pub fn document(text: &str) -> Result<MarkedYaml<'_>, String> {
    let mut loader = YamlLoader::default();
    loader.early_parse(false);
    let mut depth = 0;
    for event in Parser::new_from_str(text) {
        let failed = |error: &ScanError| at(*error.marker(), error.info());
        let (event, span) = event.map_err(|error| failed(&error))?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
        if let Event::Scalar(_, _, _, Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::MappingStart(_, Some(tag)) = &event
        {
            return Err(at(span.start, &format!("the tag {tag} (none is read)")));
        }
        // What is deeper takes a stack of its depth, and nothing here is.
        if depth > MOST_DEPTH {
            return Err(at(span.start, &format!("more than {MOST_DEPTH} levels")));
        }
        loader.on_event(event, span);
        if let Some(error) = loader.error() {
            return Err(failed(error));
        }
    }
    let mut documents = loader.into_documents().into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => Ok(document),
        (Some(_), Some(second)) => Err(wrong(&second, "a second document (one a file)")),
        (None, _) => Err("line 1: no document".to_owned()),
    }
}

fn at(marker: Marker, what: &str) -> String {
    format!("line {}: {what}", marker.line())
}

/// A mistake at a node, with its line.
pub fn wrong(node: &MarkedYaml<'_>, what: &str) -> String {
    at(node.span.start, what)
}

/// The mistake of a key that is not among those that are known.
pub fn unknown(node: &MarkedYaml<'_>, name: &str, known: &str) -> String {
    wrong(node, &format!("{name:?} is no key here ({known})"))
}

/// The pairs of a mapping, in the order in which they are told: of two of a name the last holds. What `<<`
/// merges stands in its place, as in gopkg.in/yaml.v2.
///
/// # Errors
/// It is no mapping, a key of it is no text, or one that is merged and told as well has keys of its own,
/// which that reader would mix.
pub fn fields<'n>(
    node: &'n MarkedYaml<'n>,
    what: &str,
) -> Result<Vec<(&'n str, &'n MarkedYaml<'n>)>, String> {
    let YamlData::Mapping(pairs) = &node.data else {
        return Err(wrong(node, &format!("{what} is not a mapping of keys")));
    };
    let mut found: Vec<(&str, &MarkedYaml<'_>)> = Vec::new();
    for (name, value) in pairs {
        let more = match (&name.data, &value.data) {
            (YamlData::Representation(text, ScalarStyle::Plain, _), merged) if text == "<<" => {
                // The first of several wins.
                let several = match merged {
                    YamlData::Sequence(several) => several,
                    _ => slice::from_ref(value),
                };
                let each = several.iter().rev().map(|each| fields(each, "<<"));
                each.collect::<Result<Vec<_>, _>>()?.concat()
            }
            (YamlData::Representation(text, ..), _) => vec![(text.as_ref(), value)],
            _ => return Err(wrong(name, "a key that is no text")),
        };
        for (name, value) in more {
            let is_mapping = matches!(value.data, YamlData::Mapping(_));
            if is_mapping && found.iter().any(|(known, _)| *known == name) {
                return Err(wrong(
                    value,
                    &format!("{name} is merged by << and told twice"),
                ));
            }
            found.push((name, value));
        }
    }
    Ok(found)
}

/// The items of a sequence; none of what is empty.
pub fn list<'n>(node: &'n MarkedYaml<'n>, what: &str) -> Result<&'n [MarkedYaml<'n>], String> {
    match &node.data {
        YamlData::Sequence(nodes) => Ok(nodes),
        YamlData::Representation(text, ScalarStyle::Plain, _) if is_null(text) => Ok(&[]),
        _ => Err(wrong(node, &format!("{what} is not a list"))),
    }
}

/// A text as it is written, whatever YAML takes it for.
pub fn scalar<'n>(node: &'n MarkedYaml<'n>, what: &str) -> Result<&'n str, String> {
    match &node.data {
        YamlData::Representation(text, ScalarStyle::Plain, _) if is_null(text) => Ok(""),
        YamlData::Representation(text, ..) => Ok(text),
        _ => Err(wrong(node, &format!("{what} is not a text or a number"))),
    }
}

fn is_null(text: &str) -> bool {
    ["", "~", "null", "Null", "NULL"].contains(&text)
}

/// True or false, in the words of YAML 1.1; without quotes, in which it is a text.
pub fn flag(node: &MarkedYaml<'_>, what: &str) -> Result<bool, String> {
    let text = scalar(node, what)?;
    let found = match text {
        _ if !is_plain(node) => None,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(true)
        }
        "" | "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
        | "OFF" => Some(false),
        _ => None,
    };
    found.ok_or_else(|| wrong(node, &format!("{what} is {text:?} (true or false)")))
}

/// A whole number as gopkg.in/yaml.v2 reads it: 1_000, 0x10, 0o10 and 010, which is 8, and 0b10, too.
pub fn whole(node: &MarkedYaml<'_>, what: &str, most: u32) -> Result<u32, String> {
    let text = scalar(node, what)?;
    let bare = text.strip_prefix('+').unwrap_or(text);
    let begins =
        is_plain(node) && text.starts_with(|letter: char| letter == '+' || letter.is_ascii_digit());
    let bare = bare.replace('_', "").to_ascii_lowercase();
    let (digits, radix) = match bare.as_bytes() {
        [b'0', b'x', ..] => (&bare[2..], 16),
        [b'0', b'o', ..] => (&bare[2..], 8),
        [b'0', b'b', ..] => (&bare[2..], 2),
        [b'0', _, ..] => (&bare[1..], 8),
        _ => (&bare[..], 10),
    };
    let found = u32::from_str_radix(digits, radix).ok();
    let right = begins && !digits.starts_with('+');
    let found = found.filter(|number| right && *number <= most);
    found.ok_or_else(|| wrong(node, &format!("{what} is {text:?} (0 to {most})")))
}

/// True if it is written without quotes.
fn is_plain(node: &MarkedYaml<'_>) -> bool {
    matches!(
        node.data,
        YamlData::Representation(_, ScalarStyle::Plain, _)
    )
}
