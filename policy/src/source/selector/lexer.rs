//! Words, quoted values and signs of a selector.

use super::error::Fault;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters, digits, `_`, `.`, `/` and `-`: a key, or part of an operator.
    Word(&'a str),
    /// `all(`, `global(` or `has(`, without a blank between: elsewhere they are words.
    Call(&'a str),
    /// A value, without its quotes.
    Value(&'a str),
    /// A sign: `(` `)` `{` `}` `,` `!` `==` `!=` `&&` `||`.
    Sign(&'static str),
    End,
}

impl Token<'_> {
    /// The token as an error shows it.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Word(word) => format!("the word {word}"),
            Self::Call(word) => format!("{word}("),
            Self::Value(value) => format!("the value {value:?}"),
            Self::Sign(sign) => sign.to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// A token and the column it begins at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme<'a> {
    pub(super) token: Token<'a>,
    pub(super) column: usize,
}

/// The text that is not read yet.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    column: usize,
}

const SIGNS: [&str; 10] = ["(", ")", "{", "}", ",", "==", "!=", "!", "&&", "||"];

const FUNCTIONS: [&str; 3] = ["all", "global", "has"];

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            column: 1,
        }
    }

    /// The next token; at the end, [`Token::End`] again and again.
    pub(super) fn lex(&mut self) -> Result<Lexeme<'a>, Fault> {
        self.skip_blanks();
        let column = self.column;
        let token = self.token()?;
        Ok(Lexeme { token, column })
    }

    fn skip_blanks(&mut self) {
        let text = self.rest.trim_start_matches([' ', '\t']);
        self.take(self.rest.len() - text.len());
    }

    fn token(&mut self) -> Result<Token<'a>, Fault> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        if is_word(first) {
            return Ok(self.word());
        }
        if matches!(first, '\'' | '"') {
            return self.value(first);
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) {
            self.take(sign.len());
            return Ok(Token::Sign(sign));
        }
        let expected = match first {
            '=' => "==",
            '&' => "&&",
            '|' => "||",
            _ => "a label, a value in quotes or an operator",
        };
        Err(Fault::unexpected(
            self.column,
            expected,
            format!("{first:?}"),
        ))
    }

    fn word(&mut self) -> Token<'a> {
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let word = self.take(end);
        if FUNCTIONS.contains(&word) && self.rest.starts_with('(') {
            self.take(1);
            return Token::Call(word);
        }
        Token::Word(word)
    }

    fn value(&mut self, quote: char) -> Result<Token<'a>, Fault> {
        let inner = &self.rest[1..];
        let Some(end) = inner.find(quote) else {
            let expected = "a closing quote for the value that begins here";
            let end = Token::End.shown();
            return Err(Fault::unexpected(self.column, expected, end));
        };
        self.take(end + 2);
        Ok(Token::Value(&inner[..end]))
    }

    /// Goes on by so many bytes, which end where a character does.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.column += taken.chars().count();
        taken
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')
}
