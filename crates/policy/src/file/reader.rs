//! Reading values out of a TOML tree: each has a span and a key path, and each mistake becomes a complaint.

use super::complaint::Complaints;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest list and the longest text a policy may hold.
const MOST_ITEMS: usize = 1024;
const MOST_CHARACTERS: usize = 1024;

/// One value with its place in the file.
#[derive(Clone)]
pub(super) struct Value<'t, 'i> {
    pub(super) value: &'t DeValue<'i>,
    pub(super) span: Range<usize>,
    pub(super) key: String,
}

/// One table with its place in the file.
pub(super) struct Table<'t, 'i> {
    table: &'t DeTable<'i>,
    pub(super) span: Range<usize>,
    pub(super) key: String,
}

impl<'t, 'i> Value<'t, 'i> {
    fn new(spanned: &'t Spanned<DeValue<'i>>, key: String) -> Self {
        Self { value: spanned.get_ref(), span: spanned.span(), key }
    }

    pub(super) fn complain(&self, to: &mut Complaints<'_>, message: impl Into<String>, hint: &str) {
        to.add(self.span.clone(), &self.key, message, hint);
    }

    fn wrong_type(&self, to: &mut Complaints<'_>, expected: &str) {
        self.complain(to, format!("expected {expected}, found {}", self.value.type_str()), "");
    }

    pub(super) fn text(&self, to: &mut Complaints<'_>) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) if text.chars().count() <= MOST_CHARACTERS => return Some(text),
            DeValue::String(_) => self.complain(to, format!("longer than {MOST_CHARACTERS} characters"), ""),
            _ => self.wrong_type(to, "a string"),
        }
        None
    }

    pub(super) fn boolean(&self, to: &mut Complaints<'_>) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type(to, "true or false");
        }
        value
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let integer = self.value.as_integer()?;
        i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
    }

    /// The items of a list that is neither empty nor too long.
    pub(super) fn items(&self, to: &mut Complaints<'_>) -> Vec<Self> {
        let DeValue::Array(array) = self.value else {
            self.wrong_type(to, "a list");
            return Vec::new();
        };
        if array.is_empty() {
            self.complain(to, "an empty list", "leave the key out, or list what is allowed");
        }
        if array.len() > MOST_ITEMS {
            self.complain(to, format!("more than {MOST_ITEMS} items"), "");
            return Vec::new();
        }
        array.iter().map(|item| Value::new(item, self.key.clone())).collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, to: &mut Complaints<'_>) -> Vec<(Self, &'t str)> {
        let items = self.items(to);
        items.into_iter().filter_map(|item| item.text(to).map(|text| (item, text))).collect()
    }

    pub(super) fn table(&self, to: &mut Complaints<'_>) -> Option<Table<'t, 'i>> {
        let DeValue::Table(table) = self.value else {
            self.wrong_type(to, "a table: { key = value }");
            return None;
        };
        if table.len() > MOST_ITEMS {
            self.complain(to, format!("more than {MOST_ITEMS} keys"), "");
            return None;
        }
        Some(Table { table, span: self.span.clone(), key: self.key.clone() })
    }

    /// As [`Value::table`], where an empty table would say nothing.
    pub(super) fn filled_table(&self, to: &mut Complaints<'_>) -> Option<Table<'t, 'i>> {
        let table = self.table(to)?;
        if table.table.is_empty() {
            self.complain(to, "an empty table", "leave the key out, or say what is allowed");
        }
        Some(table)
    }
}

impl<'t, 'i> Table<'t, 'i> {
    pub(super) fn root(table: &'t Spanned<DeTable<'i>>) -> Self {
        Self { table: table.get_ref(), span: table.span(), key: String::new() }
    }

    /// Complains of every key that is not known, with the nearest one that is.
    pub(super) fn refuse_unknown(&self, known: &[&str], to: &mut Complaints<'_>) {
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            let hint = match nearest(name, known) {
                Some(near) => format!("did you mean {near:?}? known here: {}", known.join(", ")),
                None => format!("known here: {}", known.join(", ")),
            };
            to.add(key.span(), &self.path(name), format!("unknown key {name:?}"), &hint);
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<Value<'t, 'i>> {
        self.table.get(key).map(|value| Value::new(value, self.path(key)))
    }

    pub(super) fn entries(&self) -> Vec<(&'t str, Value<'t, 'i>)> {
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<DeValue<'i>>)| {
            let name: &'t std::borrow::Cow<'i, str> = key.get_ref();
            (name.as_ref(), Value::new(value, self.path(name)))
        };
        self.table.iter().map(entry).collect()
    }

    pub(super) fn complain(&self, to: &mut Complaints<'_>, message: impl Into<String>, hint: &str) {
        to.add(self.span.clone(), &self.key, message, hint);
    }

    fn path(&self, key: &str) -> String {
        let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let key = if key.bytes().all(bare) { key.to_owned() } else { format!("{key:?}") };
        if self.key.is_empty() { key } else { format!("{}.{key}", self.key) }
    }
}

/// The known key that is nearest in spelling, where one is near.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |key: &&&str| strsim::damerau_levenshtein(&word.to_lowercase(), key);
    let near = known.iter().min_by_key(distance).copied()?;
    let prefix = !word.is_empty() && (near.starts_with(word) || word.starts_with(near));
    (prefix || distance(&&near) <= 1 + near.len() / 4).then_some(near)
}
