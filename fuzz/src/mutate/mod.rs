//! Changes inputs a little: what `cargo test` has instead of a fuzzer.
//!
//! Without feedback from the code, so it has to know what inputs look like ([`Form`]): a change that leaves most of the input
//! well-formed gets further than a flipped bit. The same seed makes the same inputs.

mod wire;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::wire::{Field, Value};

/// No input grows beyond this: what takes many bytes to go wrong is for libFuzzer to find.
const LONGEST: usize = 4096;
/// No message does. One that is cut off is none, and comes to nothing.
const LONGEST_MESSAGE: usize = 32 * 1024;

/// What inputs of a target look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Binary.
    Bytes,
    /// Lines of text.
    Text,
    /// Encoded messages.
    Message,
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
            if self.form == Form::Message
                && self.random.random_ratio(15, 16)
                && let Some(mut fields) = wire::parse(&input)
            {
                self.change_field(&mut fields, corpus);
                input = wire::encode(&fields);
                continue;
            }
            let is_line = self.form == Form::Text && self.random.random_ratio(1, 3);
            let unit = if is_line { self.line(&input) } else { self.span(&input) };
            self.change(&mut input, unit, corpus);
        }
        input.truncate(if self.form == Form::Message { LONGEST_MESSAGE } else { LONGEST });
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

    fn change_field(&mut self, fields: &mut Vec<Field>, corpus: &[Vec<u8>]) {
        let position = self.random.random_range(0..wire::count(fields).max(1));
        let Some((list, place)) = wire::find(fields, position) else { return };
        let Some(field) = list.get_mut(place) else { return };
        match self.random.random_range(0..8) {
            0 => drop(list.remove(place)),
            1 => {
                let copy = field.clone();
                list.insert(place, copy);
            }
            2 => field.number = self.random.random_range(1..40),
            3 => {
                if let Some(other) = self.any_field(corpus) {
                    field.value = other.value;
                }
            }
            4 => list.extend(self.any_field(corpus)),
            5 => {
                for _ in 0..self.random.random_range(1..120) {
                    let inner = field.clone();
                    field.value = Value::Message(vec![inner]);
                }
            }
            _ => self.change_value(&mut field.value, corpus),
        }
    }

    fn change_value(&mut self, value: &mut Value, corpus: &[Vec<u8>]) {
        const NUMBERS: &[u64] = &[
            0,
            1,
            2,
            3,
            100,
            101,
            65_535,
            65_536,
            999_999_999,
            1 << 31,
            1 << 32,
            1 << 63,
            u64::MAX,
        ];
        match value {
            Value::Varint(number) => *number = self.choose(NUMBERS).copied().unwrap_or_default(),
            Value::Fixed64(bytes) => self.random.fill(bytes),
            Value::Fixed32(bytes) => self.random.fill(bytes),
            Value::Bytes(bytes) => {
                let unit = self.span(bytes);
                self.change(bytes, unit, corpus);
            }
            Value::Message(fields) => fields.clear(),
        }
    }

    /// A field of some message in `corpus`.
    fn any_field(&mut self, corpus: &[Vec<u8>]) -> Option<Field> {
        let mut fields = wire::parse(self.choose(corpus)?)?;
        let position = self.random.random_range(0..wire::count(&fields).max(1));
        let (list, place) = wire::find(&mut fields, position)?;
        list.get(place).cloned()
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
