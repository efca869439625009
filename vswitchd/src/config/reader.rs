//! Reading a TOML table key by key, so that one reading finds every mistake.
//!
//! A derive of `serde::Deserialize` stops at the first error and does not say which key it was;
//! this reader keeps going, and knows the key, its place, what was expected and what was found.

use std::{collections::BTreeSet, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{ConfigError, ConfigErrors, line_and_column};

/// Where in the text something stands, in bytes.
pub(super) type Span = Range<usize>;

/// The mistakes found so far in one file.
pub(super) struct Mistakes<'a> {
    file: &'a Path,
    text: &'a str,
    list: Vec<(usize, ConfigError)>,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            list: Vec::new(),
        }
    }

    /// Notes one mistake.
    pub(super) fn add(
        &mut self,
        at: &Span,
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        let (line, column) = line_and_column(self.text, at.start);
        let error = ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            key: key.into(),
            expected: expected.into(),
            found: found.into(),
        };
        self.list.push((at.start, error));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order of the file.
    pub(super) fn into_errors(mut self) -> ConfigErrors {
        self.list.sort_by_key(|(offset, _)| *offset);
        ConfigErrors(self.list.into_iter().map(|(_, error)| error).collect())
    }
}

/// A value with the place it stands at and the key it stands under.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
    pub(super) key: String,
}

/// What a value must be: a sentence for people and the check itself.
pub(super) struct Expect<T> {
    pub(super) what: &'static str,
    pub(super) read: fn(&DeValue<'_>) -> Option<T>,
}

/// One table being read. Call [`Section::finish`] at the end: it reports the keys nobody asked for.
pub(super) struct Section<'t> {
    path: String,
    span: Span,
    table: &'t DeTable<'t>,
    known: BTreeSet<&'static str>,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Self::new(String::new(), 0..0, table)
    }

    fn new(path: String, span: Span, table: &'t DeTable<'t>) -> Self {
        Self {
            path,
            span,
            table,
            known: BTreeSet::new(),
        }
    }

    fn key(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    fn value(&mut self, name: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.insert(name);
        self.table.get(name)
    }

    /// The value of a key that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        mistakes: &mut Mistakes<'_>,
        name: &'static str,
        expect: &Expect<T>,
    ) -> Option<At<T>> {
        let spanned = self.value(name)?;
        self.check(mistakes, self.key(name), spanned, expect)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(
        &mut self,
        mistakes: &mut Mistakes<'_>,
        name: &'static str,
        expect: &Expect<T>,
    ) -> Option<At<T>> {
        if !self.table.contains_key(name) {
            self.known.insert(name);
            mistakes.add(&self.span, self.key(name), expect.what, "no such key");
            return None;
        }
        self.optional(mistakes, name, expect)
    }

    /// Every element of an array; an absent key is an empty one.
    pub(super) fn list<T>(
        &mut self,
        mistakes: &mut Mistakes<'_>,
        name: &'static str,
        expect: &Expect<T>,
    ) -> Vec<At<T>> {
        let Some(spanned) = self.value(name) else {
            return Vec::new();
        };
        let Some(array) = spanned.get_ref().as_array() else {
            let expected = format!("an array, each element {}", expect.what);
            mistakes.add(&spanned.span(), self.key(name), expected, found(spanned));
            return Vec::new();
        };
        let element = |(index, value)| {
            let key = format!("{}[{index}]", self.key(name));
            self.check(mistakes, key, value, expect)
        };
        array.iter().enumerate().filter_map(element).collect()
    }

    /// A sub-table that may be absent.
    pub(super) fn table(
        &mut self,
        mistakes: &mut Mistakes<'_>,
        name: &'static str,
    ) -> Option<Section<'t>> {
        let spanned = self.value(name)?;
        let key = self.key(name);
        match spanned.get_ref().as_table() {
            Some(table) => Some(Section::new(key, spanned.span(), table)),
            None => {
                let expected = format!("a table, [{name}]");
                mistakes.add(&spanned.span(), key, expected, found(spanned));
                None
            }
        }
    }

    /// Every `[[name]]` of the file; an absent key is none.
    pub(super) fn tables(
        &mut self,
        mistakes: &mut Mistakes<'_>,
        name: &'static str,
    ) -> Vec<Section<'t>> {
        let Some(spanned) = self.value(name) else {
            return Vec::new();
        };
        let elements = spanned.get_ref().as_array().map(|array| array.iter());
        let mut sections = Vec::new();
        for (index, element) in elements.into_iter().flatten().enumerate() {
            let key = format!("{}[{index}]", self.key(name));
            match element.get_ref().as_table() {
                Some(table) => sections.push(Section::new(key, element.span(), table)),
                None => mistakes.add(&element.span(), key, "a table", found(element)),
            }
        }
        if spanned.get_ref().as_array().is_none() {
            let expected = format!("tables written as [[{name}]]");
            mistakes.add(&spanned.span(), self.key(name), expected, found(spanned));
        }
        sections
    }

    /// Where the table stands, for mistakes that concern the whole of it.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Mistakes<'_>) {
        let known: Vec<&str> = self.known.iter().copied().collect();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(name) {
                let expected = format!("one of the keys {}", known.join(", "));
                mistakes.add(&key.span(), self.key(name), expected, "an unknown key");
            }
        }
    }

    fn check<T>(
        &self,
        mistakes: &mut Mistakes<'_>,
        key: String,
        spanned: &Spanned<DeValue<'_>>,
        expect: &Expect<T>,
    ) -> Option<At<T>> {
        let span = spanned.span();
        match (expect.read)(spanned.get_ref()) {
            Some(value) => Some(At { value, span, key }),
            None => {
                mistakes.add(&span, key, expect.what, found(spanned));
                None
            }
        }
    }
}

/// The value as a person would read it back.
fn found(spanned: &Spanned<DeValue<'_>>) -> String {
    match spanned.get_ref() {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
