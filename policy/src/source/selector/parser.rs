//! Tokens -> tree, by recursive descent; one function for each line of the grammar.

use std::collections::BTreeSet;

use super::dialect::{Dialect, Global, has};
use super::error::{Fault, SelectorProblem};
use super::join::{all_of, any_of};
use super::lexer::{Lexeme, Lexer, Token};
use super::{MAX_DEPTH, MAX_LENGTH};
use crate::model::Selector;

type Parsed<T> = Result<T, Fault>;

const CONDITION: &str = "a condition such as app == 'web', has(app) or all()";
const OPERATOR: &str =
    "an operator after the label: ==, !=, in, not in, contains, starts with or ends with";
const VALUE: &str = "a value in quotes";

/// Reads a whole text.
pub(super) fn parse(text: &str, dialect: &Dialect) -> Parsed<Selector> {
    if text.chars().nth(MAX_LENGTH).is_some() {
        return Err(Fault {
            column: MAX_LENGTH + 1,
            problem: SelectorProblem::TooLong,
        });
    }
    let mut lexer = Lexer::new(text);
    let next = lexer.lex()?;
    let mut parser = Parser {
        lexer,
        first: next.column,
        next,
        dialect,
        depth: 0,
    };
    if parser.next.token == Token::End {
        return Ok(dialect.all());
    }
    let whole = parser.expression()?;
    match parser.next.token {
        Token::End => Ok(whole),
        _ => Err(parser.unexpected("&&, || or the end")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is looked at.
    next: Lexeme<'a>,
    /// The column of the first token.
    first: usize,
    dialect: &'a Dialect,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn expression(&mut self) -> Parsed<Selector> {
        let mut parts = vec![self.conjunction()?];
        while self.skip_sign("||")? {
            parts.push(self.conjunction()?);
        }
        Ok(any_of(parts))
    }

    fn conjunction(&mut self) -> Parsed<Selector> {
        let mut parts = vec![self.operand()?];
        while self.skip_sign("&&")? {
            parts.push(self.operand()?);
        }
        Ok(all_of(parts))
    }

    fn operand(&mut self) -> Parsed<Selector> {
        let mut negated = false;
        while self.skip_sign("!")? {
            negated = !negated;
        }
        let condition = self.condition()?;
        Ok(if negated { not(condition) } else { condition })
    }

    fn condition(&mut self) -> Parsed<Selector> {
        match self.next.token {
            Token::Sign("(") => self.group(),
            Token::Call("has") => self.has(),
            Token::Call("all") => self.all(),
            Token::Call("global") => self.global(),
            Token::Word(key) => self.test(key),
            _ => Err(self.unexpected(CONDITION)),
        }
    }

    fn group(&mut self) -> Parsed<Selector> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(SelectorProblem::TooDeep));
        }
        self.depth += 1;
        self.advance()?;
        let inner = self.expression()?;
        self.expect(")", "&&, || or )")?;
        self.depth -= 1;
        Ok(inner)
    }

    fn has(&mut self) -> Parsed<Selector> {
        self.advance()?;
        let Token::Word(key) = self.next.token else {
            return Err(self.unexpected("a label"));
        };
        self.advance()?;
        self.expect(")", ")")?;
        Ok(Selector::Has(self.dialect.key(key)))
    }

    fn all(&mut self) -> Parsed<Selector> {
        self.advance()?;
        self.expect(")", ")")?;
        Ok(self.dialect.all())
    }

    fn global(&mut self) -> Parsed<Selector> {
        let column = self.next.column;
        self.advance()?;
        self.expect(")", ")")?;
        let alone = column == self.first && self.next.token == Token::End;
        match self.dialect.global {
            Global::Anywhere(label) => Ok(not(has(label))),
            Global::Alone(label) if alone => Ok(not(has(label))),
            Global::Alone(_) | Global::Nowhere => Err(Fault {
                column,
                problem: SelectorProblem::Global,
            }),
        }
    }

    fn test(&mut self, key: &str) -> Parsed<Selector> {
        self.advance()?;
        let operator = self.next;
        let key = self.dialect.key(key);
        self.advance_over_operator()?;
        match operator.token {
            Token::Sign("==") => Ok(Selector::equals(&key, self.value()?)),
            Token::Sign(_) => Ok(not(Selector::equals(&key, self.value()?))),
            Token::Word("in") => Ok(Selector::In(key, self.values()?)),
            Token::Word("not" | "notin") => Ok(not(Selector::In(key, self.values()?))),
            Token::Word("contains") => Ok(Selector::Contains(key, self.value()?.to_owned())),
            Token::Word("starts" | "startswith") => {
                Ok(Selector::StartsWith(key, self.value()?.to_owned()))
            }
            _ => Ok(Selector::EndsWith(key, self.value()?.to_owned())),
        }
    }

    /// Goes past `==`, `!=` or the one or two words of an operator, and past nothing else. Calico
    /// takes the two words written together as well.
    fn advance_over_operator(&mut self) -> Parsed<()> {
        let second = match self.next.token {
            Token::Sign("==" | "!=") => None,
            Token::Word("in" | "notin" | "contains" | "startswith" | "endswith") => None,
            Token::Word("starts" | "ends") => Some("with"),
            Token::Word("not") => Some("in"),
            _ => return Err(self.unexpected(OPERATOR)),
        };
        self.advance()?;
        match second {
            None => Ok(()),
            Some(word) if self.next.token == Token::Word(word) => self.advance(),
            Some("in") => Err(self.unexpected("in, as in: app not in {'web'}")),
            Some(_) => Err(self.unexpected("with, as in: app starts with 'web'")),
        }
    }

    fn value(&mut self) -> Parsed<&'a str> {
        let Token::Value(value) = self.next.token else {
            return Err(self.unexpected(VALUE));
        };
        self.advance()?;
        Ok(value)
    }

    fn values(&mut self) -> Parsed<BTreeSet<String>> {
        self.expect("{", "a set such as {'a', 'b'}")?;
        let mut values = BTreeSet::new();
        while let Token::Value(value) = self.next.token {
            values.insert(value.to_owned());
            self.advance()?;
            if !self.skip_sign(",")? {
                self.expect("}", ", or }")?;
                return Ok(values);
            }
        }
        self.expect("}", "a value in quotes or }")?;
        Ok(values)
    }

    fn skip_sign(&mut self, sign: &'static str) -> Parsed<bool> {
        let there = self.next.token == Token::Sign(sign);
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    fn expect(&mut self, sign: &'static str, expected: &'static str) -> Parsed<()> {
        match self.skip_sign(sign)? {
            true => Ok(()),
            false => Err(self.unexpected(expected)),
        }
    }

    fn advance(&mut self) -> Parsed<()> {
        self.next = self.lexer.lex()?;
        Ok(())
    }

    /// What is looked at does not belong here.
    fn unexpected(&self, expected: &'static str) -> Fault {
        Fault::unexpected(self.next.column, expected, self.next.token.shown())
    }

    fn fault(&self, problem: SelectorProblem) -> Fault {
        Fault {
            column: self.next.column,
            problem,
        }
    }
}

fn not(inner: Selector) -> Selector {
    Selector::Not(Box::new(inner))
}
