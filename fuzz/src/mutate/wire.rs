//! Encoded messages as trees, so that a change in the middle leaves all lengths around it right.
//!
//! Without a schema: what could be a message inside a message is taken for one, unless it reads like text.

/// How deep messages inside messages are looked into.
const DEPTH: usize = 16;

/// A field as the wire has it.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) value: Value,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// The fields of a message, or none if `bytes` are none.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Field>> {
    fields(bytes, DEPTH)
}

fn fields(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                nested(take(&mut bytes, length)?, depth)
            }
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            _ => return None,
        };
        fields.push(Field { number: (key >> 3 != 0).then_some(key >> 3)?, value });
    }
    Some(fields)
}

fn nested(bytes: &[u8], depth: usize) -> Value {
    let is_text = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
    if is_text || depth == 0 {
        return Value::Bytes(bytes.to_vec());
    }
    fields(bytes, depth - 1).map_or_else(|| Value::Bytes(bytes.to_vec()), Value::Message)
}

/// The encoding of `fields`.
pub(super) fn encode(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, value } in fields {
        let mut begin = |wire_type| put_varint(&mut out, number << 3 | wire_type);
        match value {
            Value::Varint(number) => {
                begin(0);
                put_varint(&mut out, *number);
            }
            Value::Fixed64(bytes) => {
                begin(1);
                out.extend_from_slice(bytes);
            }
            Value::Fixed32(bytes) => {
                begin(5);
                out.extend_from_slice(bytes);
            }
            Value::Bytes(bytes) => {
                begin(2);
                put_delimited(&mut out, bytes);
            }
            Value::Message(fields) => {
                begin(2);
                put_delimited(&mut out, &encode(fields));
            }
        }
    }
    out
}

/// The number of fields, those of inner messages included.
pub(super) fn count(fields: &[Field]) -> usize {
    let inner = |field: &Field| match &field.value {
        Value::Message(fields) => count(fields),
        _ => 0,
    };
    fields.iter().map(|field| 1 + inner(field)).sum()
}

/// The list in which the field `position` of the tree stands, and where in it.
pub(super) fn find(fields: &mut Vec<Field>, position: usize) -> Option<(&mut Vec<Field>, usize)> {
    let mut left = position;
    let place = fields.iter().position(|field| {
        let size = count(std::slice::from_ref(field));
        let is_here = left < size;
        left -= if is_here { 0 } else { size };
        is_here
    })?;
    if left == 0 {
        return Some((fields, place));
    }
    match fields.get_mut(place).map(|field| &mut field.value) {
        Some(Value::Message(inner)) => find(inner, left - 1),
        _ => None,
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_delimited(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_same_after_parsing_and_encoding() {
        let inner = [&[0x0a, 3][..], b"abc", &[0x10, 0x96, 0x01], &[0x1d, 1, 2, 3, 4]].concat();
        let bytes = [&[0x2a, inner.len() as u8][..], &inner, &[0x39], &[7; 8]].concat();
        let mut fields = parse(&bytes).unwrap();
        assert_eq!(encode(&fields), bytes);
        assert_eq!(count(&fields), 5);
        let (list, place) = find(&mut fields, 2).unwrap();
        assert!(matches!(list[place].value, Value::Varint(150)));
        assert!(matches!(find(&mut fields, 4), Some((_, 1))));
        assert!(find(&mut fields, 5).is_none());
        assert!(parse(&[0x0a, 9]).is_none());
    }
}
