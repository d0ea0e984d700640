use proptest::prelude::*;

use super::*;
use crate::text::Tokenizer as Text;

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// A byte-level vocabulary: four control tokens, a tool tag, letters, merges.
pub(super) fn byte_level(pre: &str) -> GgufVocab {
    let tokens = strings(&[
        "<s>",
        "</s>",
        "<|im_end|>",
        "<tool>",
        "[PAD4]",
        "h",
        "i",
        "Ġ",
        "1",
        "2",
        "hi",
        "Ġhi",
        "Ã",
        "©",
        "Ã©",
        "12",
    ]);
    let mut types = vec![1; tokens.len()];
    types[..5].copy_from_slice(&[3, 3, 3, 4, 5]);
    GgufVocab {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        token_types: Some(types),
        merges: Some(strings(&["h i", "Ġ hi", "Ã ©", "1 2"])),
        bos: Some(0),
        eos: Some(1),
        tokens,
        ..GgufVocab::default()
    }
}

#[test]
fn byte_level_bpe() {
    let text = Text::from_gguf(&byte_level("qwen2")).unwrap();
    assert_eq!(text.encode("hi hi", false).unwrap(), [10, 11]);
    // Composed and decomposed é are one and the same.
    assert_eq!(text.encode("e\u{301}".trim_start_matches('e'), false).unwrap().len(), 0);
    assert_eq!(text.encode("é", false).unwrap(), [14]);
    assert_eq!(text.encode("hi<|im_end|><tool> hi</s>", true).unwrap(), [10, 2, 3, 11, 1]);
    assert_eq!(text.token_bytes(11), b" hi");
    assert_eq!(text.token_bytes(12), b"\xC3");
    assert_eq!(text.token_bytes(3), b"<tool>");
    for silent in [0, 2, 4, 16, u32::MAX] {
        assert_eq!(text.token_bytes(silent), b"");
    }
    assert!(text.is_special(2) && !text.is_special(3) && !text.is_special(4));
    assert_eq!(text.eos_ids(), [1, 2]);
    assert_eq!((text.bos_token(), text.eos_token()), (Some("<s>"), Some("</s>")));
    assert_eq!(text.vocab_size(), 16);
    assert_eq!(text.decode(&[0, 10, 3, 11, 12, 99], true).unwrap(), "hi<tool> hi\u{FFFD}");
    assert_eq!(text.decode(&[0, 10, 1], false).unwrap(), "<s>hi</s>");
}

#[test]
fn digits_are_split_or_not_by_family() {
    let one_by_one = Text::from_gguf(&byte_level("smollm")).unwrap();
    assert_eq!(one_by_one.encode("12", false).unwrap(), [8, 9]);
    let together = Text::from_gguf(&byte_level("llama-bpe")).unwrap();
    assert_eq!(together.encode("12", false).unwrap(), [15]);
}

#[test]
fn framing_follows_the_file_then_the_family() {
    let ids = |vocab: &GgufVocab| Text::from_gguf(vocab).unwrap().encode("hi", true).unwrap();
    let mut vocab = byte_level("qwen2");
    assert_eq!(ids(&vocab), [10]);
    vocab.add_bos = Some(true);
    vocab.add_eos = Some(true);
    assert_eq!(ids(&vocab), [0, 10, 1]);
    let mut vocab = byte_level("llama-bpe");
    assert_eq!(ids(&vocab), [0, 10]);
    vocab.add_bos = Some(false);
    assert_eq!(ids(&vocab), [10]);
    // A default without a token is nothing; a wish without one is an error.
    vocab.add_bos = None;
    vocab.bos = None;
    assert_eq!(ids(&vocab), [10]);
    vocab.add_bos = Some(true);
    assert!(matches!(Text::from_gguf(&vocab), Err(TokenizerError::Missing(_))));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let error = Text::from_gguf(&byte_level("klingon-7b")).unwrap_err().to_string();
    assert!(
        error.contains("klingon-7b") && error.contains("qwen2") && error.contains("tokenizer.json")
    );
    let mut vocab = byte_level("qwen2");
    vocab.model = "rwkv".into();
    assert!(Text::from_gguf(&vocab).unwrap_err().to_string().contains("rwkv"));
}

#[test]
fn damaged_files_are_errors() {
    let damage: [fn(&mut GgufVocab); 5] = [
        |v| v.tokens.clear(),
        |v| v.merges = None,
        |v| v.merges = Some(strings(&["hi"])),
        |v| v.merges = Some(strings(&["h x"])),
        |v| v.merges = Some(strings(&["h 1"])),
    ];
    for break_it in damage {
        let mut vocab = byte_level("qwen2");
        break_it(&mut vocab);
        assert!(Text::from_gguf(&vocab).is_err());
    }
    // These llama.cpp lives with, and so does this.
    let harmless: [fn(&mut GgufVocab); 4] = [
        |v| v.eos = Some(1 << 30),
        |v| v.tokens.push("hi".into()),
        |v| v.tokens.push(String::new()),
        |v| v.token_types = Some(vec![3]),
    ];
    for change in harmless {
        let mut vocab = byte_level("qwen2");
        change(&mut vocab);
        assert_eq!(Text::from_gguf(&vocab).unwrap().encode("hi", false).unwrap(), [10]);
    }
}

fn spm() -> GgufVocab {
    let mut tokens = strings(&["<unk>", "<s>", "</s>"]);
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    tokens.extend(strings(&["▁", "a", "b", "ab", "ba", "▁a", "<|end|>", "  "]));
    let mut types = vec![1; tokens.len()];
    types[..3].copy_from_slice(&[2, 3, 3]);
    types[3..259].fill(6);
    types[265] = 3;
    types[266] = 4;
    let mut scores = vec![0.0; tokens.len()];
    for (id, score) in
        [(262, -2.0), (263, -3.0), (264, -1.0), (259, -9.0), (260, -9.0), (261, -9.0)]
    {
        scores[id] = score;
    }
    GgufVocab {
        model: "llama".into(),
        tokens,
        token_types: Some(types),
        scores: Some(scores),
        ..GgufVocab::default()
    }
}

#[test]
fn sentencepiece_bpe() {
    let text = Text::from_gguf(&spm()).unwrap();
    // "▁a" has the better score, so it is merged before "ab".
    assert_eq!(text.encode("ab", true).unwrap(), [1, 264, 261]);
    assert_eq!(text.encode("aab", false).unwrap(), [264, 262]);
    // Not in the vocabulary: bytes.
    assert_eq!(text.encode("é", false).unwrap(), [259, 3 + 0xC3, 3 + 0xA9]);
    // A prefix after every added token; two spaces are one user-defined token.
    assert_eq!(text.encode("a<|end|>a  a", false).unwrap(), [264, 265, 264, 266, 264]);
    assert_eq!(text.encode("", true).unwrap(), [1]);
    assert_eq!(text.eos_ids(), [2, 265]);
    assert!(text.strips_leading_space());
    assert_eq!(text.token_bytes(264), b" a");
    assert_eq!(text.token_bytes(3 + 0xC3), b"\xC3");
    assert_eq!(text.token_bytes(266), b"  ");
    assert_eq!(text.decode(&[1, 264, 261, 3 + 0xC3, 3 + 0xA9], true).unwrap(), "abé");
}

#[test]
fn sentencepiece_without_a_prefix() {
    let mut vocab = spm();
    vocab.add_space_prefix = Some(false);
    vocab.add_bos = Some(false);
    let text = Text::from_gguf(&vocab).unwrap();
    assert_eq!(text.encode("ab ab", true).unwrap(), [262, 264, 261]);
    assert!(!text.strips_leading_space());
    assert_eq!(text.decode(&[264, 261], true).unwrap(), " ab");
}

#[test]
fn merges_come_by_score_then_by_the_longer_left_part() {
    let mut vocab = spm();
    vocab.tokens.push("aab".into());
    vocab.tokens.push("aa".into());
    vocab.token_types = None;
    vocab.scores.as_mut().unwrap().extend([-0.5, -4.0]);
    let entries = Entries::new(&vocab);
    let mut built = spm::merges(&entries, &entries.vocabulary(), vocab.scores.as_ref().unwrap());
    built.retain(|(left, right)| format!("{left}{right}") == "aab");
    assert_eq!(built, [("aa".into(), "b".into()), ("a".into(), "ab".into())]);
}

#[test]
fn phi3_eats_the_line_break_after_a_role() {
    let mut vocab = spm();
    let plain = Text::from_gguf(&vocab).unwrap().encode("<|end|>\na", false).unwrap();
    assert_eq!(plain, [265, 259, 3 + 0x0A, 260]);
    vocab.tokens.push("<|placeholder1|>".into());
    let phi = Text::from_gguf(&vocab).unwrap().encode("<|end|>\na", false).unwrap();
    assert_eq!(phi, [265, 264]);
}

#[test]
fn wordpiece_is_restored_from_phantom_spaces() {
    let tokens = strings(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁go", "ing", "▁,", "▁["]);
    let vocab = GgufVocab {
        model: "bert".into(),
        tokens,
        token_types: Some(vec![3, 3, 3, 3, 3, 1, 1, 1, 1]),
        unk: Some(1),
        cls: Some(2),
        sep: Some(3),
        ..GgufVocab::default()
    };
    let text = Text::from_gguf(&vocab).unwrap();
    assert_eq!(text.encode("Gòing, go [MASK] xyz", true).unwrap(), [2, 5, 6, 7, 5, 4, 1, 3]);
    assert_eq!(text.id_to_token(6).as_deref(), Some("##ing"));
    assert_eq!(text.decode(&[2, 5, 6, 7, 5, 3], true).unwrap(), "going, go");
    assert_eq!((text.token_bytes(5), text.token_bytes(6)), (&b" go"[..], &b"ing"[..]));
}

/// The ids and types of a pair.
fn pair(vocab: &GgufVocab, first: &str, second: &str) -> (Vec<u32>, Vec<u32>) {
    let text = Text::from_gguf(vocab).unwrap().encode_text(first, Some(second), None).unwrap();
    (text.ids, text.types)
}

#[test]
fn pairs_are_put_together_as_the_families_do() {
    // BERT: one begin token.
    let bert = GgufVocab {
        model: "bert".into(),
        tokens: strings(&["[UNK]", "[CLS]", "[SEP]", "a", "b"]),
        unk: Some(0),
        cls: Some(1),
        sep: Some(2),
        ..GgufVocab::default()
    };
    assert_eq!(pair(&bert, "a", "b"), (vec![1, 3, 2, 4, 2], vec![0, 0, 0, 1, 1]));
    // Llama: each as it is alone.
    let mut llama = byte_level("llama-bpe");
    assert_eq!(pair(&llama, "hi", "hi").0, [0, 10, 0, 10]);
    // ModernBERT says so in the file.
    llama.pre = Some("modern-bert".into());
    (llama.add_bos, llama.add_eos, llama.add_sep) = (Some(true), Some(true), Some(true));
    assert_eq!(pair(&llama, "hi", "hi"), (vec![0, 10, 1, 10, 1], vec![0, 0, 0, 1, 1]));
    // RoBERTa: two separators, no types, and both ends by default.
    let roberta = byte_level("roberta-bpe");
    assert_eq!(pair(&roberta, "hi", "hi"), (vec![0, 10, 1, 1, 10, 1], vec![0; 6]));
}

#[test]
fn files_say_how_text_is_normalized() {
    let mut vocab = byte_level("jina-v2-de");
    vocab.lowercase = Some(true);
    assert_eq!(Text::from_gguf(&vocab).unwrap().encode("HI", false).unwrap(), [10]);
    vocab.strip_accents = Some(true);
    assert_eq!(Text::from_gguf(&vocab).unwrap().encode("Hí", false).unwrap(), [10]);
}

#[test]
fn sentencepiece_with_its_merges_written_out() {
    let mut vocab = spm();
    vocab.model = "gemma4".into();
    vocab.merges = Some(strings(&["▁ a", "a b"]));
    (vocab.scores, vocab.add_bos) = (None, Some(false));
    let text = Text::from_gguf(&vocab).unwrap();
    assert_eq!(text.encode("ab ab", true).unwrap(), [262, 264, 261]);
    vocab.model = "gpt2".into();
    vocab.pre = Some("granite-embed-multi-311m".into());
    assert_eq!(Text::from_gguf(&vocab).unwrap().encode("ab ab", true).unwrap(), [262, 264, 261]);
}

#[test]
fn unigram_takes_the_likeliest_cut() {
    let tokens = strings(&["<pad>", "</s>", "<unk>", "▁a", "▁", "a", "b", "ab", "[PAD8]"]);
    let vocab = GgufVocab {
        model: "t5".into(),
        tokens,
        token_types: Some(vec![3, 3, 2, 1, 1, 1, 1, 1, 5]),
        scores: Some(vec![0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -3.0, -2.5, -1e4]),
        ..GgufVocab::default()
    };
    let text = Text::from_gguf(&vocab).unwrap();
    assert_eq!(text.encode("ab", true).unwrap(), [3, 6, 1]);
    // NFKC, runs of spaces, and an unknown character.
    assert_eq!(text.encode("  ａ   a☃", true).unwrap(), [3, 3, 2, 1]);
    assert_eq!(text.decode(&[3, 6, 1], true).unwrap(), "ab");
    assert_eq!(text.eos_ids(), [1]);
}

/// A vocabulary that can spell any text, and a few merges.
fn any_text(model: &str) -> GgufVocab {
    let mut vocab = match model {
        "gpt2" => {
            let bytes = (0..=255u8).map(|b| match b {
                0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => char::from(b).to_string(),
                0..=0x20 => char::from_u32(0x100 + u32::from(b)).unwrap().to_string(),
                0x7F..=0xA0 => char::from_u32(0x121 + u32::from(b) - 0x7F).unwrap().to_string(),
                0xAD => 'Ń'.to_string(),
            });
            let mut vocab = byte_level("gpt-2");
            let known = vocab.tokens.clone();
            vocab.tokens.extend(bytes.filter(|b| !known.contains(b)));
            vocab
        }
        _ => spm(),
    };
    vocab.add_space_prefix = Some(false);
    vocab
}

proptest! {
    #[test]
    fn any_text_survives(text in "(\\PC|[ \t\r\nab1é\u{301}]|<s>|<tool>|hi|<){0,40}") {
        for model in ["gpt2", "llama"] {
            let tokenizer = Text::from_gguf(&any_text(model)).unwrap();
            let ids = tokenizer.encode(&text, false).unwrap();
            let spelled = if model == "llama" { text.replace('▁', " ") } else { text.clone() };
            prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), spelled);
        }
    }
}

#[test]
fn long_texts_of_one_kind() {
    let byte_level = Text::from_gguf(&any_text("gpt2")).unwrap();
    let spm = Text::from_gguf(&any_text("llama")).unwrap();
    for unit in [" ", "a", "1", "\n", " \n", "é", "\u{301}", "<s>", "'", "\0"] {
        let text = unit.repeat(100_000);
        for tokenizer in [&byte_level, &spm] {
            let ids = tokenizer.encode(&text, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
        }
    }
}
