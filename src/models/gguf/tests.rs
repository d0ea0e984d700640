use super::*;
use candle_core::quantized::GgmlDType;

fn sample() -> Vec<u8> {
    let mut b = Vec::new();
    let string = |b: &mut Vec<u8>, s: &str| {
        b.extend((s.len() as u64).to_le_bytes());
        b.extend(s.as_bytes());
    };
    b.extend(MAGIC);
    b.extend(3u32.to_le_bytes());
    b.extend(1u64.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    string(&mut b, "general.architecture");
    b.extend(8u32.to_le_bytes());
    string(&mut b, "llama");
    string(&mut b, "tokens");
    b.extend(9u32.to_le_bytes());
    b.extend(8u32.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    string(&mut b, "a");
    string(&mut b, "b");
    string(&mut b, "w");
    b.extend(2u32.to_le_bytes());
    b.extend(3u64.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    b.extend(0u32.to_le_bytes());
    b.extend(0u64.to_le_bytes());
    b.resize(b.len().next_multiple_of(32), 0);
    for i in 0..6 {
        b.extend((i as f32).to_le_bytes());
    }
    b
}

fn write(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn a_small_file_is_read() {
    let file = write(&sample());
    let gguf = GgufFile::open(file.path()).unwrap();
    assert_eq!(gguf.string("general.architecture"), Some("llama"));
    assert_eq!(gguf.metadata["tokens"], Value::Strings(vec!["a".into(), "b".into()]));
    let (info, dtype, bytes) = gguf.tensor("w").unwrap();
    assert_eq!(
        (info.shape.as_slice(), dtype, bytes.len()),
        (&[2, 3][..], Stored::Candle(GgmlDType::F32), 24)
    );
}

#[test]
fn every_truncation_is_an_error_and_no_panic() {
    let whole = sample();
    for len in 0..whole.len() {
        let file = write(&whole[..len]);
        let result = GgufFile::open(file.path()).and_then(|g| g.tensor("w").map(|_| ()));
        assert!(result.is_err(), "{len} bytes of {} were accepted", whole.len());
    }
}

#[test]
fn hostile_lengths_and_unknown_types_are_named() {
    let mut huge = sample();
    // The length of the array "tokens".
    let at = huge.windows(6).position(|w| w == b"tokens").unwrap() + 6 + 8;
    huge[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = GgufFile::open(write(&huge).path()).unwrap_err().to_string();
    assert!(error.contains("tokens"), "{error}");

    let mut odd = sample();
    let at = odd.len() - 24 - 32..odd.len();
    let type_at = odd[..at.start + 32].windows(8).rposition(|w| w == 2u64.to_le_bytes());
    let type_at = type_at.unwrap() + 8;
    odd[type_at..type_at + 4].copy_from_slice(&18u32.to_le_bytes());
    let gguf = GgufFile::open(write(&odd).path()).unwrap();
    let error = gguf.tensor("w").unwrap_err().to_string();
    assert!(error.contains("IQ3_XXS") && error.contains("\"w\""), "{error}");
}
