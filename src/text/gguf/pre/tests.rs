use tokenizers::OffsetReferential::Original;
use tokenizers::OffsetType::Byte;
use tokenizers::{PreTokenizedString, PreTokenizer};

use super::super::tests::byte_level;
use super::*;
use crate::text::Tokenizer as Text;

fn known_names() -> Vec<String> {
    table().unwrap().family.into_iter().flat_map(|family| family.names).collect()
}

/// The names that llama.cpp (of November 2026) reads.
const LLAMA_CPP_NAMES: &str = "
    a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe
    command-r dbrx deepseek-coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone
    exaone-moe exaone4 f2llmv2 falcon falcon-h1 falcon3 gemma4 gigachat glm4 glm5 gpt-2
    gpt-4o gpt3-finnish granite-docling granite-embed-multi-311m granite-embed-multi-97m
    grok-2 hunyuan hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en jina-v2-code
    jina-v2-de jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2 kormo laguna lfm2 llada-moe
    llama-bpe llama-v3 llama3 llama4 megrez mellum mellum2 midm-2.0 minerva-7b minicpm5
    minimax-m2 modern-bert mpt olmo phi-2 pixtral poro-chat qwen2 qwen35 refact roberta-bpe
    sarvam-moe seed-coder smaug-bpe smollm solar-open spark2_5 stablelm2 starcoder superbpe
    talkie tekken tiny_aya trillion ufakzeka viking whitespace youtu
";

#[test]
fn every_name_of_llama_cpp_is_known_or_refused_with_a_reason() {
    for name in LLAMA_CPP_NAMES.split_whitespace() {
        match rules(Some(name)) {
            Ok(_) => assert!(known_names().iter().any(|known| known == name), "{name}"),
            Err(TokenizerError::RefusedPreTokenizer { name: refused, reason }) => {
                assert_eq!(refused, name);
                assert!(reason.len() > 20, "{name}: {reason}");
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
    let error = Text::from_gguf(&byte_level("afmoe")).unwrap_err().to_string();
    assert!(error.contains("'afmoe'") && error.contains("tokenizer.json"), "{error}");
}

#[test]
fn names_and_patterns_occur_once_and_are_used() {
    let names = known_names();
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    let table = table().unwrap();
    for name in table.pattern.keys() {
        assert!(table.family.iter().any(|f| f.steps.contains(name)), "{name}");
    }
}

#[test]
fn every_family_of_the_table_splits_text() {
    for name in known_names() {
        let mut vocab = byte_level(&name);
        (vocab.add_bos, vocab.add_eos) = (Some(false), Some(false));
        if rules(Some(&name)).unwrap().sentencepiece {
            continue; // has no byte-level vocabulary
        }
        let text = Text::from_gguf(&vocab).unwrap();
        assert_eq!(text.encode("hi hi", true).unwrap(), [10, 11], "{name}");
    }
}

#[test]
fn families_split_as_their_tokenizer_json_does() {
    let split = |pre: &str, text: &str| -> Vec<String> {
        let mut words = PreTokenizedString::from(text);
        let rules = rules(Some(pre)).unwrap();
        rules.pre_tokenizer().unwrap().pre_tokenize(&mut words).unwrap();
        let words = words.get_splits(Original, Byte).into_iter();
        words.map(|(_, (from, to), _)| text[from..to].to_owned()).collect()
    };
    let text = "I'VE 12345 x\r\n\n  y  ÀB'll कि!?\n";
    assert_eq!(
        split("gpt-2", text),
        ["I", "'", "VE", " 12345", " x", "\r\n\n ", " y", " ", " ÀB", "'ll", " क", "ि!?", "\n"]
    );
    assert_eq!(
        split("smollm", text),
        [
            "I", "'", "VE", " ", "1", "2", "3", "4", "5", " x", "\r\n\n ", " y", " ", " ÀB", "'ll",
            " क", "ि!?", "\n"
        ]
    );
    assert_eq!(
        split("qwen2", text),
        [
            "I", "'VE", " ", "1", "2", "3", "4", "5", " x", "\r\n\n", " ", " y", " ", " ÀB", "'ll",
            " क", "ि!?\n"
        ]
    );
    assert_eq!(
        split("llama-bpe", text),
        ["I", "'VE", " ", "123", "45", " x", "\r\n\n", " ", " y", " ", " ÀB", "'ll", " क", "ि!?\n"]
    );
    assert_eq!(split("qwen35", "कि!?"), ["कि", "!?"]);
    assert_eq!(split("tekken", "HelloWorld a/b/\n"), ["Hello", "World", " a", "/b", "/\n"]);
    assert_eq!(split("gpt-4o", "HelloWorld's x"), ["Hello", "World's", " x"]);
    assert_eq!(
        split("deepseek-coder", "a, 12日本\n\n"),
        ["a", ",", " ", "1", "2", "日本", "\n", "\n"]
    );
    assert_eq!(split("default", "a-1234 b"), ["a", "-", "123", "4", " b"]);
    assert_eq!(split("superbpe", "one two 1234567"), ["one two ", "1", "234", "567"]);
    assert_eq!(split("tiny_aya", "1234567 12"), ["1", "234", "567", " ", "12"]);
    assert_eq!(split("bloom", "World's (1)，x۔"), ["World's", " (", "1", ")，", "x", "۔"]);
    assert_eq!(split("viking", "a12 b."), ["a", "1", "2", " b", "."]);
    assert_eq!(split("kimi-k2", "a日本b HelloWorld"), ["a", "日本", "b", " Hello", "World"]);
    assert_eq!(split("exaone-moe", "two words 12\n\n"), ["two words", " ", "1", "2", "\n\n"]);
    assert_eq!(split("bailingmoe", "it's\n\n12"), ["it", "'s", "\n\n", "1", "2"]);
    assert_eq!(split("jais-2", "a     b"), ["a", "    ", " b"]);
    assert_eq!(split("laguna", "a \n\nb"), ["a", " ", "\n\n", "b"]);
    assert_eq!(split("ufakzeka", "TBMM'nin"), ["TBMM", "'nin"]);
    assert_eq!(split("chameleon", "a!?  1"), ["a", "!", "?", "  ", "1"]);

    // "о" is the bytes D0 BE, and BE is written "¾", which is a number.
    let mut words = PreTokenizedString::from("1234 нос!?");
    let falcon = rules(Some("falcon")).unwrap();
    falcon.pre_tokenizer().unwrap().pre_tokenize(&mut words).unwrap();
    let spelled = words.get_splits(Original, Byte).into_iter().map(|(word, ..)| word);
    let expected = ["123", "4", "ĠÐ", "½", "Ð", "¾", "Ñģ", "!?"];
    assert_eq!(spelled.collect::<Vec<_>>(), expected);
}
