//! A truth table as text: numbered rows, a column of one character for each of the same numbers.

use std::fmt::{self, Display, Formatter};

use super::{Cell, Grid};
use crate::words;

/// Up to so many columns stand a space apart.
const SPACED_COLUMNS: usize = 30;

/// A group's members are listed under the table when they are more than this.
const NAMES_IN_ROW: usize = 1;

impl Display for Grid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let traffic = words::list(&self.traffic, "and", Clone::clone);
        writeln!(
            f,
            "{traffic}: who (row) may open a connection to whom (column)\n"
        )?;
        if self.groups.is_empty() {
            return writeln!(f, "nobody is here");
        }
        let labels: Vec<String> = self.groups.iter().map(|group| label(group)).collect();
        let digits = self.groups.len().to_string().len();
        let width = labels.iter().map(String::len).max().unwrap_or_default();
        self.write_header(f, digits, digits + 2 + width)?;
        for (number, (label, row)) in labels.iter().zip(&self.cells).enumerate() {
            let signs: Vec<char> = (0..)
                .zip(row)
                .map(|(column, cell)| self.sign(number, column, *cell))
                .collect();
            let number = number + 1;
            writeln!(
                f,
                "{number:>digits$}  {label:width$}  {}",
                self.spaced(&signs)
            )?;
        }
        self.write_members(f)?;
        writeln!(f, "\n{}", self.legend())
    }
}

/// A row's name: its only member, or the first and how many more.
fn label(group: &[String]) -> String {
    let more = group.len().saturating_sub(NAMES_IN_ROW);
    let first = group.first().map(String::as_str).unwrap_or_default();
    match more {
        0 => first.to_owned(),
        more => format!("{first} and {more} more"),
    }
}

impl Grid {
    fn spaced(&self, signs: &[char]) -> String {
        let gap = if self.groups.len() <= SPACED_COLUMNS {
            " "
        } else {
            ""
        };
        let signs: Vec<String> = signs.iter().map(char::to_string).collect();
        signs.join(gap).trim_end().to_owned()
    }

    /// The columns' numbers, downwards.
    fn write_header(&self, f: &mut Formatter<'_>, digits: usize, indent: usize) -> fmt::Result {
        for place in 0..digits {
            let signs: Vec<char> = (1..=self.groups.len())
                .map(|number| {
                    let text = format!("{number:>digits$}");
                    text.chars().nth(place).unwrap_or(' ')
                })
                .collect();
            let columns = self.spaced(&signs);
            writeln!(f, "{:indent$}  {columns}", "")?;
        }
        Ok(())
    }

    fn sign(&self, row: usize, column: usize, cell: Cell) -> char {
        let alone = self.groups.get(row).is_some_and(|group| group.len() == 1);
        match cell {
            _ if row == column && alone => '\\',
            Cell::Allowed => '+',
            Cell::Egress => 'e',
            Cell::Ingress => 'i',
            Cell::Both => 'x',
            Cell::Apart => '.',
        }
    }

    fn write_members(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (number, group) in (1..).zip(&self.groups) {
            if group.len() > NAMES_IN_ROW {
                if std::mem::take(&mut first) {
                    writeln!(f)?;
                }
                writeln!(f, "{number}: {}", group.join(", "))?;
            }
        }
        Ok(())
    }

    /// What the signs mean, of those that occur.
    fn legend(&self) -> String {
        let mut found: Vec<Cell> = self.cells.iter().flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        let alone = self.groups.iter().any(|group| group.len() == 1);
        let words = found.into_iter().map(|cell| match cell {
            Cell::Allowed => "+ may",
            Cell::Egress => "e its egress policy denies",
            Cell::Ingress => "i the other's ingress policy denies",
            Cell::Both => "x both deny",
            Cell::Apart => ". no address family in common",
        });
        let words = words.chain(alone.then_some("\\ itself"));
        words.collect::<Vec<_>>().join("   ")
    }
}
