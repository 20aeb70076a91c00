//! YAML, of which each mistake is named with its line.

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
        // What is deeper takes a stack of its depth, and nothing here is.
        if depth > MOST_DEPTH {
            return Err(at(span.start, &format!("more than {MOST_DEPTH} levels")));
        }
        loader.on_event(event, span);
        if let Some(error) = loader.error() {
            return Err(failed(error));
        }
    }
    let documents = loader.into_documents();
    let found = documents.len();
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => Ok(document),
        _ => Err(format!("line 1: {found} documents, not one")),
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

/// The pairs of a mapping; none of what is empty.
pub fn fields<'n>(
    node: &'n MarkedYaml<'n>,
    what: &str,
) -> Result<Vec<(&'n str, &'n MarkedYaml<'n>)>, String> {
    match &node.data {
        YamlData::Mapping(pairs) => {
            let named = pairs.iter().map(|(name, value)| match &name.data {
                YamlData::Representation(text, ..) => Ok((text.as_ref(), value)),
                _ => Err(wrong(name, "a key that is no text")),
            });
            named.collect()
        }
        _ => Err(wrong(node, &format!("{what} is not a mapping of keys"))),
    }
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

/// True or false, in the words of YAML 1.1.
pub fn flag(node: &MarkedYaml<'_>, what: &str) -> Result<bool, String> {
    match scalar(node, what)?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" | "" => Ok(false),
        text => Err(wrong(node, &format!("{what} is {text:?} (true or false)"))),
    }
}
