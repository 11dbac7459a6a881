//! Tag rules by words: `cluster.$.**` takes the second word of names whose first is `cluster`.
//!
//! A name is its words between dots. In a pattern `$` is the word that is the value and `*` any one word;
//! every pattern ends with `**`, which is one word or more. The value is cut out with the dot behind it.

use super::Found;

/// A compiled pattern: the words before `**`.
#[derive(Debug)]
pub(super) struct Pattern(Box<[Word]>);

#[derive(Debug)]
enum Word {
    Exactly(&'static str),
    Any,
    Value,
}

impl Pattern {
    pub(super) fn new(pattern: &'static str) -> Self {
        let words = pattern.trim_end_matches(".**").split('.');
        let compile = |word| match word {
            "*" => Word::Any,
            "$" => Word::Value,
            word => Word::Exactly(word),
        };
        Self(words.map(compile).collect())
    }

    /// The first word of all names that match, if it is always the same.
    pub(super) fn first_word(&self) -> Option<&'static str> {
        match self.0.first() {
            Some(Word::Exactly(word)) => Some(word),
            _ => None,
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let mut value = None;
        let mut start = 0;
        for word in &self.0 {
            // The dot must be there: another word follows, if only the one that `**` stands for.
            let (text, _) = name.get(start..)?.split_once('.')?;
            let end = start + text.len();
            match word {
                Word::Exactly(exactly) if *exactly != text => return None,
                Word::Value => value = Some(start..end),
                Word::Exactly(_) | Word::Any => {}
            }
            start = end + 1;
        }
        let value = value?;
        Some(Found { cut: value.start..value.end + 1, value })
    }
}
