//! A GraphQL document: its operations, and the fields at their roots.

use super::Unknown;
use super::words::{Word, words};
use std::collections::{BTreeMap, BTreeSet};

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Mutation,
    Subscription,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) name: Option<String>,
    /// The fields at its root by their own names, those of fragments too.
    pub(crate) fields: Vec<String>,
}

/// An executable document: operations and fragments, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) operations: Vec<Operation>,
}

/// How deep selections and values may be nested.
const DEEPEST: usize = 64;
/// How many operations a document may have, and root fields all of them together: fragments multiply them.
const MOST_OPERATIONS: usize = 50;
const MOST_FIELDS: usize = 2000;

const BROKEN: Unknown = "the GraphQL document does not parse";
const TOO_MANY: Unknown = "the GraphQL document has too many operations or fields";

impl Document {
    /// Parses a document.
    ///
    /// # Errors
    /// In one fixed sentence, where it is no executable document, or has no operation.
    pub(crate) fn parse(text: &str) -> Result<Self, Unknown> {
        let words = words(text)?;
        let mut reader = Reader { words: &words, at: 0 };
        let mut roots = Vec::new();
        let mut fragments = BTreeMap::new();
        while reader.at < words.len() {
            reader.definition(&mut roots, &mut fragments)?;
        }
        if roots.is_empty() {
            return Err("the GraphQL document has no operation");
        }
        if roots.len() > MOST_OPERATIONS {
            return Err(TOO_MANY);
        }
        let mut collected = 0;
        let mut operations = Vec::new();
        for (kind, name, root) in roots {
            let fields = root.with_fragments(&fragments, MOST_FIELDS - collected)?;
            collected += fields.len();
            operations.push(Operation { kind, name, fields });
        }
        Ok(Self { operations })
    }
}

/// What stands directly in a selection set: fields, and the fragments that bring more.
#[derive(Default)]
struct Root<'t> {
    fields: Vec<&'t str>,
    spreads: Vec<&'t str>,
}

impl<'t> Root<'t> {
    /// The fields of this set and of all fragments that it spreads, each fragment once. A list and no recursion: fragments may
    /// stand in each other to any depth.
    fn with_fragments(
        &self,
        fragments: &BTreeMap<&'t str, Self>,
        most: usize,
    ) -> Result<Vec<String>, Unknown> {
        let (mut fields, mut seen, mut left) = (Vec::new(), BTreeSet::new(), vec![self]);
        while let Some(root) = left.pop() {
            if fields.len() + root.fields.len() > most {
                return Err(TOO_MANY);
            }
            fields.extend(root.fields.iter().map(|field| (*field).to_owned()));
            for spread in root.spreads.iter().filter(|spread| seen.insert(**spread)) {
                left.push(fragments.get(spread).ok_or("a fragment is not in the GraphQL document")?);
            }
        }
        Ok(fields)
    }
}

struct Reader<'w, 't> {
    words: &'w [Word<'t>],
    at: usize,
}

impl<'t> Reader<'_, 't> {
    fn peek(&self) -> Option<&Word<'t>> {
        self.words.get(self.at)
    }

    fn eat(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Word::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn name(&mut self) -> Option<&'t str> {
        let Some(Word::Name(name)) = self.peek() else { return None };
        let name = *name;
        self.at += 1;
        Some(name)
    }

    fn definition(
        &mut self,
        roots: &mut Vec<(Kind, Option<String>, Root<'t>)>,
        fragments: &mut BTreeMap<&'t str, Root<'t>>,
    ) -> Result<(), Unknown> {
        // A description may stand before a definition, not before the short form.
        let described = self.peek() == Some(&Word::Value);
        self.at += usize::from(described);
        if !described && self.peek() == Some(&Word::Sign('{')) {
            roots.push((Kind::Query, None, self.selections(0)?));
            return Ok(());
        }
        let kind = match self.name() {
            Some("query") => Kind::Query,
            Some("mutation") => Kind::Mutation,
            Some("subscription") => Kind::Subscription,
            Some("fragment") => return self.fragment(fragments),
            _ => return Err("the GraphQL document has a definition that is no operation"),
        };
        let name = self.name().map(str::to_owned);
        if self.peek() == Some(&Word::Sign('(')) {
            self.skip_brackets(0)?;
        }
        self.directives()?;
        roots.push((kind, name, self.selections(0)?));
        Ok(())
    }

    fn fragment(&mut self, fragments: &mut BTreeMap<&'t str, Root<'t>>) -> Result<(), Unknown> {
        let name = self.name().filter(|name| *name != "on").ok_or(BROKEN)?;
        // Variables of fragments are no part of the specification; some servers take them.
        if self.name() != Some("on") || self.name().is_none() {
            return Err(BROKEN);
        }
        self.directives()?;
        let root = self.selections(0)?;
        match fragments.insert(name, root) {
            None => Ok(()),
            Some(_) => Err("two fragments of the GraphQL document have one name"),
        }
    }

    /// `{ … }`, at least one selection.
    fn selections(&mut self, depth: usize) -> Result<Root<'t>, Unknown> {
        if depth > DEEPEST || !self.eat('{') {
            return Err(BROKEN);
        }
        let mut root = Root::default();
        loop {
            match self.peek() {
                Some(Word::Sign('}')) if !(root.fields.is_empty() && root.spreads.is_empty()) => {
                    self.at += 1;
                    return Ok(root);
                }
                Some(Word::Spread) => {
                    self.at += 1;
                    self.spread(&mut root, depth)?;
                }
                _ => self.field(&mut root, depth)?,
            }
        }
    }

    fn spread(&mut self, root: &mut Root<'t>, depth: usize) -> Result<(), Unknown> {
        match self.name() {
            Some("on") => drop(self.name().ok_or(BROKEN)?),
            Some(name) => {
                self.directives()?;
                root.spreads.push(name);
                return Ok(());
            }
            None => {}
        }
        self.directives()?;
        let inner = self.selections(depth + 1)?;
        root.fields.extend(inner.fields);
        root.spreads.extend(inner.spreads);
        Ok(())
    }

    fn field(&mut self, root: &mut Root<'t>, depth: usize) -> Result<(), Unknown> {
        let first = self.name().ok_or(BROKEN)?;
        let name = if self.eat(':') { self.name().ok_or(BROKEN)? } else { first };
        if self.peek() == Some(&Word::Sign('(')) {
            self.skip_brackets(0)?;
        }
        self.directives()?;
        if self.peek() == Some(&Word::Sign('{')) {
            self.selections(depth + 1)?;
        }
        root.fields.push(name);
        Ok(())
    }

    fn directives(&mut self) -> Result<(), Unknown> {
        while self.eat('@') {
            self.name().ok_or(BROKEN)?;
            if self.peek() == Some(&Word::Sign('(')) {
                self.skip_brackets(0)?;
            }
        }
        Ok(())
    }

    /// `( … )`, `[ … ]` or `{ … }` with everything in it, brackets in pairs.
    fn skip_brackets(&mut self, depth: usize) -> Result<(), Unknown> {
        let close = match self.peek() {
            Some(Word::Sign('(')) => ')',
            Some(Word::Sign('[')) => ']',
            Some(Word::Sign('{')) => '}',
            _ => return Err(BROKEN),
        };
        if depth > DEEPEST {
            return Err(BROKEN);
        }
        self.at += 1;
        while !self.eat(close) {
            match self.peek().ok_or(BROKEN)? {
                Word::Sign('(' | '[' | '{') => self.skip_brackets(depth + 1)?,
                Word::Sign(')' | ']' | '}') => return Err(BROKEN),
                _ => self.at += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(Kind, Option<String>, String)>> {
        let document = Document::parse(text).ok()?;
        Some(document.operations.into_iter().map(|one| (one.kind, one.name, one.fields.join(" "))).collect())
    }

    #[test]
    fn t35_operations_and_their_root_fields_are_found_wherever_they_hide() {
        for (text, expected) in [
            ("{a}", "query - a"),
            (
                "query Q($x: [Int!]! = [1] @d(a: {b: \"}\"})) @e { b: a(x: $x) { c } ...F } fragment F on Query { d }",
                "query Q a d",
            ),
            ("# mutation { x }\n{ a }", "query - a"),
            ("#\rmutation { x }", "mutation - x"),
            ("{ a(s: \"}mutation{\") }", "query - a"),
            ("{ a(s: \"\"\"} \\\"\"\" mutation { x \"\"\") }", "query - a"),
            ("{a}mutation M{x}", "query - a; mutation M x"),
            ("\u{feff}{a,b}", "query - a b"),
            ("subscription { s ... on S @i { t } ... { u } }", "subscription - s t u"),
            ("\"a query\" query Q { a }", "query Q a"),
            ("query query { query }", "query query query"),
            ("query on { on: a ...F } fragment F on X { b ...F }", "query on a b"),
        ] {
            let shown: Vec<String> = read(text)
                .unwrap_or_else(|| panic!("{text}"))
                .into_iter()
                .map(|(kind, name, fields)| {
                    format!("{} {} {fields}", kind.as_str(), name.as_deref().unwrap_or("-"))
                })
                .collect();
            assert_eq!(shown.join("; "), expected, "{text}");
        }
    }

    #[test]
    fn t35_a_document_with_two_readings_is_not_read() {
        let deep = format!("{}{}", "{a".repeat(70), "}".repeat(70));
        let deep_value = format!("{{a(x:{}1{})}}", "[".repeat(70), "]".repeat(70));
        for text in [
            "",
            " ",
            "#",
            "{",
            "{}",
            "{a",
            "a}",
            "{a}}",
            "query",
            "query Q",
            "{a{}}",
            "{a(}",
            "{a(x:(1]))}",
            "type Q { a: Int }",
            "extend type Q { a: Int }",
            "schema { query: Q }",
            "fragment F on Q { a }",
            "{...F}",
            "{a} fragment F on Q {a} fragment F on Q {b}",
            "fragment on on Q {a} {a}",
            "{a(s: \"\n\")}",
            "{a(s: \"x)}",
            "{a(s: \"\"\"x)}",
            "{a(s: 'x')}",
            "{a # }",
            "{a\u{2028}}",
            "{a #\u{2028}} mutation{x}",
            "{a #\u{85}}",
            "{a #\u{b}}",
            "{a #\u{c}}",
            "{a\0}",
            "{\u{430}}",
            "{a(x: 01)}",
            "{a(x: 1x)}",
            "{a.b}",
            "{a ..F}",
            "\"d\" {a}",
            "{a;b}",
            "{a} garbage",
            "{ a: }",
            "{ :a }",
            "{ ... on { a } }",
            "query Q($x: Int {a}",
            &deep,
            &deep_value,
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn t96_a_document_that_multiplies_itself_costs_no_more_than_its_bytes() {
        let chain: String =
            (0..20_000).map(|at| format!("fragment F{at} on Q {{ a ...F{} }} ", at + 1)).collect();
        assert_eq!(
            read(&format!("{{ ...F0 }} {chain} fragment F20000 on Q {{ b }}")),
            None,
            "too many fields"
        );
        let short: String =
            (0..1000).map(|at| format!("fragment F{at} on Q {{ ...F{} }} ", at + 1)).collect();
        let found = read(&format!("{{ ...F0 }} {short} fragment F1000 on Q {{ b }}")).unwrap();
        assert_eq!(found[0].2, "b");
        let circle = read("{ ...A } fragment A on Q { a ...B } fragment B on Q { b ...A }").unwrap();
        assert_eq!(circle[0].2, "a b");
        let operations: String = (0..60).map(|at| format!("query Q{at} {{ a }} ")).collect();
        assert_eq!(read(&operations), None);
        let wide = "a ".repeat(1500);
        assert_eq!(
            read(&format!("query A {{ ...F }} query B {{ ...F }} fragment F on Q {{ {wide} }}")),
            None
        );
    }
}
