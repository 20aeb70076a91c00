//! A line that is a JSON object: fields lie at paths in it.

use memchr::memchr2;

/// Objects and arrays within one another; deeper ones are no line of a log.
const DEEPEST: usize = 64;

/// Places of fields in an object.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Names of members, or numbers of elements, and their nodes.
    children: Vec<(Vec<u8>, usize)>,
    fields: Vec<usize>,
}

impl Tree {
    /// A tree of paths, of names that are not escaped; the field of each is its number.
    #[must_use]
    pub fn new(paths: &[Vec<Vec<u8>>]) -> Self {
        let mut nodes = vec![Node::default()];
        for (field, path) in paths.iter().enumerate() {
            let mut at = 0;
            for name in path {
                let known = nodes[at].children.iter().find(|(known, _)| known == name);
                at = if let Some(&(_, next)) = known {
                    next
                } else {
                    let next = nodes.len();
                    nodes[at].children.push((name.clone(), next));
                    nodes.push(Node::default());
                    next
                };
            }
            nodes[at].fields.push(field);
        }
        Self { nodes }
    }

    /// Finds the span of each field, without quotes; one that is not there, or null, is empty.
    /// False if the line is no object.
    pub(crate) fn spans(&self, line: &[u8], spans: &mut [(usize, usize)]) -> bool {
        let mut reader = Reader {
            line,
            at: 0,
            tree: self,
            spans,
        };
        reader.blank();
        line.get(reader.at) == Some(&b'{')
            && reader.value(Some(0), 0).is_some()
            && reader.at == line.len()
    }
}

struct Reader<'a> {
    line: &'a [u8],
    at: usize,
    tree: &'a Tree,
    spans: &'a mut [(usize, usize)],
}

impl Reader<'_> {
    fn blank(&mut self) {
        while matches!(self.line.get(self.at), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes this byte and blanks around it.
    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.line.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        self.blank();
        found
    }

    /// Reads a value, and what may follow it; None if it is none.
    fn value(&mut self, node: Option<usize>, depth: usize) -> Option<()> {
        let from = self.at;
        let span = match *self.line.get(from)? {
            b'"' => self.string()?,
            b'{' => {
                self.members(node, depth, b'}')?;
                (from, self.at)
            }
            b'[' => {
                self.members(node, depth, b']')?;
                (from, self.at)
            }
            _ => self.word()?,
        };
        if let Some(node) = node {
            for &field in &self.tree.nodes[node].fields {
                self.spans[field] = span;
            }
        }
        self.blank();
        Some(())
    }

    /// Reads an object or an array, up to its last bracket.
    fn members(&mut self, node: Option<usize>, depth: usize, end: u8) -> Option<()> {
        self.at += 1;
        self.blank();
        if depth >= DEEPEST {
            return None;
        }
        if self.line.get(self.at) == Some(&end) {
            self.at += 1;
            return Some(());
        }
        let mut number = 0_usize;
        loop {
            let child = if end == b'}' {
                (self.line.get(self.at) == Some(&b'"')).then_some(())?;
                let (from, to) = self.string()?;
                self.takes(b':').then_some(())?;
                let name = &self.line[from..to];
                self.child(node, |known| known == name)
            } else {
                let child = self.child(node, |known| {
                    std::str::from_utf8(known).is_ok_and(|text| text.parse() == Ok(number))
                });
                number += 1;
                child
            };
            self.value(child, depth + 1)?;
            match self.line.get(self.at)? {
                b',' => self.at += 1,
                &other if other == end => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
            self.blank();
        }
    }

    fn child(&self, node: Option<usize>, is: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let children = &self.tree.nodes[node?].children;
        Some(children.iter().find(|(known, _)| is(known))?.1)
    }

    /// Reads a text; its span, without the quotes.
    fn string(&mut self) -> Option<(usize, usize)> {
        let from = self.at + 1;
        let mut at = from;
        loop {
            at += memchr2(b'"', b'\\', self.line.get(at..)?)?;
            if self.line[at] == b'"' {
                self.at = at + 1;
                return Some((from, at));
            }
            at += 2;
        }
    }

    /// Reads a number, true, false, or null, which is as if it were not there.
    fn word(&mut self) -> Option<(usize, usize)> {
        let from = self.at;
        let rest = &self.line[from..];
        let end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r');
        let length = rest.iter().position(end)?;
        let word = &rest[..length];
        let number = word
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        (length > 0 && (number || matches!(word, b"true" | b"false" | b"null"))).then_some(())?;
        self.at += length;
        Some(if word == b"null" {
            (from, from)
        } else {
            (from, self.at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(line: &'a str, paths: &[&str]) -> Option<Vec<&'a str>> {
        let paths: Vec<Vec<Vec<u8>>> = (paths.iter())
            .map(|path| {
                path.split('/')
                    .map(|name| name.as_bytes().to_vec())
                    .collect()
            })
            .collect();
        let mut spans = vec![(0, 0); paths.len()];
        Tree::new(&paths)
            .spans(line.as_bytes(), &mut spans)
            .then(|| spans.iter().map(|&(from, to)| &line[from..to]).collect())
    }

    #[test]
    fn a_field_is_found_at_its_path_and_nowhere_else() {
        let line = r#"{"a": {"b": ["x", {"c":"y\"z"}], "x": 1}, "b":2.5e-3, "c" : null, "a2":{}} "#;
        assert_eq!(
            found(line, &["a/b/0", "a/b/1/c", "b", "c", "a/c", "a2", "a/b/2"]),
            Some(vec!["x", r#"y\"z"#, "2.5e-3", "", "", "{}", ""])
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in [
            "",
            "{",
            "{}x",
            "[]",
            "1",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":"x}"#,
            r#"{"a":"x\"#,
            r#"{"a":1"b":2}"#,
            r#"{a:1}"#,
            r#"{"a":[1}"#,
            r#"{"a":tru}"#,
        ] {
            assert_eq!(found(line, &["a"]), None, "{line}");
        }
        let deep = format!("{}{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert_eq!(found(&deep, &["a"]), None);
        assert_eq!(found("{}", &["a"]), Some(vec![""]));
    }
}
