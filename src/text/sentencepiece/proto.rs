//! SentencePiece's model file: a protocol buffer (`sentencepiece_model.proto`),
//! of which these fields are read.

/// What a model file says.
#[derive(Debug, Default, PartialEq)]
pub struct Model {
    pub pieces: Vec<Piece>,
    /// `trainer_spec.model_type`: 1 is Unigram, which is the default.
    pub kind: u64,
    pub byte_fallback: bool,
    /// Compiled normalization rules; empty for none.
    pub rules: Vec<u8>,
    /// A space goes before a text.
    pub add_prefix: bool,
    /// Runs of spaces count as one.
    pub squeeze: bool,
}

/// An entry of the vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub text: String,
    pub score: f32,
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub kind: u64,
}

enum Value<'a> {
    Number(u64),
    Float(f32),
    Bytes(&'a [u8]),
    /// Of eight bytes; nothing here is.
    Other,
}

impl Model {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no protocol buffer, or none of this kind.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut model = Self { kind: 1, add_prefix: true, squeeze: true, ..Self::default() };
        for (field, value) in fields(bytes)? {
            match (field, value) {
                (1, Value::Bytes(piece)) => model.pieces.push(read_piece(piece)?),
                (2, Value::Bytes(trainer)) => {
                    for (field, value) in fields(trainer)? {
                        match (field, value) {
                            (3, Value::Number(kind)) => model.kind = kind,
                            (35, Value::Number(on)) => model.byte_fallback = on != 0,
                            _ => {}
                        }
                    }
                }
                (3, Value::Bytes(normalizer)) => {
                    for (field, value) in fields(normalizer)? {
                        match (field, value) {
                            (2, Value::Bytes(rules)) => model.rules = rules.to_vec(),
                            (3, Value::Number(on)) => model.add_prefix = on != 0,
                            (4, Value::Number(on)) => model.squeeze = on != 0,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err("it has no pieces, so it is no SentencePiece model".to_owned());
        }
        Ok(model)
    }
}

fn read_piece(bytes: &[u8]) -> Result<Piece, String> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: 1 };
    for (field, value) in fields(bytes)? {
        match (field, value) {
            (1, Value::Bytes(text)) => {
                piece.text = String::from_utf8(text.to_vec()).map_err(|e| e.to_string())?;
            }
            (2, Value::Float(score)) if score.is_finite() => piece.score = score,
            (3, Value::Number(kind)) => piece.kind = kind,
            _ => {}
        }
    }
    Ok(piece)
}

/// The fields of one message.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => {
                take(&mut bytes, 8)?;
                Value::Other
            }
            2 => {
                let len = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            5 => {
                let four = take(&mut bytes, 4)?;
                Value::Float(f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            }
            other => return Err(format!("it has a field of the wire type {other}")),
        };
        found.push((key >> 3, value));
    }
    Ok(found)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let (head, rest) = bytes.split_at_checked(len).ok_or("it ends in the middle of a field")?;
    *bytes = rest;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("it has a number of more than ten bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, value.len() as u8], value].concat()
    }

    #[test]
    fn files_are_read_and_damage_is_an_error() {
        let piece = [field(1, "▁peace".as_bytes()), vec![0x15, 0, 0, 0x20, 0xc0]].concat();
        let unknown = [field(1, b"<unk>"), vec![0x18, 2]].concat();
        let file = [field(1, &piece), field(1, &unknown), field(3, &[0x18, 0])].concat();
        let model = Model::read(&file).unwrap();
        assert_eq!(
            model.pieces,
            [
                Piece { text: "▁peace".to_owned(), score: -2.5, kind: 1 },
                Piece { text: "<unk>".to_owned(), score: 0.0, kind: 2 },
            ]
        );
        assert_eq!((model.kind, model.add_prefix, model.squeeze), (1, false, true));
        for end in 0..file.len() {
            // Cut between fields it is a shorter file.
            if let Ok(shorter) = Model::read(&file[..end]) {
                assert!(shorter.pieces.len() <= 2);
            }
        }
        for damaged in [&b""[..], b"{\"a\": 1}", &[0xff; 20], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]]
        {
            assert!(Model::read(damaged).is_err(), "{damaged:?}");
        }
    }
}
