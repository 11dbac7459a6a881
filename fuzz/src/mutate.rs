//! Changes inputs a little: what `cargo test` has instead of a fuzzer.
//!
//! Without feedback from the code, so it has to know what inputs look like ([`Form`]): a change that leaves most of the input
//! well-formed gets further than a flipped bit. The same seed makes the same inputs.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// No input grows beyond this.
const LONGEST: usize = 4096;

/// What inputs of a target look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Binary.
    Bytes,
    /// Lines of text.
    Text,
    /// Choices for a generator: all bytes mean something.
    Choices,
}

/// Makes inputs out of others.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
    form: Form,
}

impl Mutator {
    /// The mutator that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64, form: Form) -> Self {
        Self { random: StdRng::seed_from_u64(seed), form }
    }

    /// An input like those in `corpus`.
    pub fn next_input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        if self.form == Form::Choices && self.random.random_ratio(3, 4) {
            let length = self.random.random_range(0..1024);
            return (0..length).map(|_| self.random.random()).collect();
        }
        let mut input = self.choose(corpus).cloned().unwrap_or_default();
        for _ in 0..self.random.random_range(1..=4) {
            let is_line = self.form == Form::Text && self.random.random_ratio(1, 3);
            let unit = if is_line { self.line(&input) } else { self.span(&input) };
            self.change(&mut input, unit, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, unit: std::ops::Range<usize>, corpus: &[Vec<u8>]) {
        let at = self.random.random_range(0..=input.len());
        let bytes = input.get(unit.clone()).unwrap_or_default().to_vec();
        match self.random.random_range(0..8) {
            0 => drop(input.drain(unit)),
            1 => drop(input.splice(at..at, bytes)),
            2 => {
                let times = self.random.random_range(2..100);
                drop(input.splice(at..at, bytes.repeat(times)));
            }
            3 => {
                let other = self.choose(corpus).cloned().unwrap_or_default();
                let from =
                    if self.form == Form::Text { self.line(&other) } else { self.span(&other) };
                drop(input.splice(unit, other.get(from).unwrap_or_default().to_vec()));
            }
            4 => {
                let byte = self.byte();
                drop(input.splice(at..at, [byte]));
            }
            5 => {
                let byte = self.byte();
                input.get_mut(unit).unwrap_or_default().fill(byte);
            }
            6 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.random.random_range(0..8_u8);
                }
            }
            _ => {
                let length = input.len();
                if let Some(byte) = input.get_mut(at.min(length.saturating_sub(1))) {
                    *byte = byte.wrapping_add_signed(self.random.random_range(-3..=3));
                }
            }
        }
    }

    /// A byte that parsers have a case for, or any.
    fn byte(&mut self) -> u8 {
        const SPECIAL: &[u8] =
            b"\0\t\n\r \"#%&*+,-./0129:;<=>?@ABF[\\]_abcdefx{|}~\x7f\x80\xc3\xff";
        if self.random.random_ratio(3, 4) {
            self.choose(SPECIAL).copied().unwrap_or_default()
        } else {
            self.random.random()
        }
    }

    /// Any few bytes of the input, now and then many.
    fn span(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.random_range(0..=input.len());
        let most = input.len() - start;
        let most = if self.random.random_ratio(7, 8) { most.min(8) } else { most };
        start..start + self.random.random_range(0..=most)
    }

    /// A line of the input, with its end.
    fn line(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let at = self.random.random_range(0..=input.len());
        let (before, after) = input.split_at_checked(at).unwrap_or_default();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let end =
            after.iter().position(|byte| *byte == b'\n').map_or(input.len(), |end| at + end + 1);
        start..end
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let last = from.len().checked_sub(1)?;
        from.get(self.random.random_range(0..=last))
    }
}
