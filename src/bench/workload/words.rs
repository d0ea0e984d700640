//! Words that cost one token each, to make texts of exact length from.

use crate::text::{Tokenizer, TokenizerError};

/// Common English words: one token each in most vocabularies. They stand in
/// where no tokenizer is given.
const COMMON: &str = "about after again all also among an and another any area around as at away \
    back base because been before being best better between both bring build business call can \
    case change child city clear close common company control country course court cover current \
    day decision develop down during each early economic education effect end even every example \
    face fact family far field find first follow food for force form found from full future \
    general give good government great group hand have head health help here high history home \
    house how idea important increase individual information interest international issue job just \
    keep kind know land large last law lead least left legal level life light like line list local \
    long look made main make many market material matter mean measure member mind moment money \
    month more most move much must name national natural need new next night north note number off \
    office often old once only open order other our over own paper part party people per period \
    person place plan point policy position possible power present price private problem process \
    program project provide public question rate real reason report research result right role \
    room rule same school second see sense service set several shall should show side simple since \
    small social society some south special stand start state still strong student study such \
    support sure system table take tax team term test that their them then there these they thing \
    think this those though three through time today together trade treatment two under until up \
    use value very view want war water way week well west what when where which while white who \
    whole why will with within without woman word work world would year yet young";

/// As many words are enough for texts without much repetition.
const ENOUGH: usize = 4000;

/// Fewer make a text that is no longer random.
const TOO_FEW: usize = 50;

/// The stand-ins.
pub fn common() -> Vec<String> {
    COMMON.split_whitespace().map(str::to_owned).collect()
}

/// Words of this vocabulary that are one token in the middle of a text.
///
/// # Errors
/// The vocabulary has too few of them, or the tokenizer fails.
pub fn of_vocabulary(tokenizer: &Tokenizer) -> Result<Vec<String>, String> {
    let wrong = |e: TokenizerError| e.to_string();
    let base = tokenizer.encode("the the", false).map_err(wrong)?.len();
    let mut words = Vec::new();
    for id in 0..tokenizer.vocab_size() as u32 {
        let Ok(text) = tokenizer.decode(&[id], true) else { continue };
        let word = text.trim();
        let plain = (3..=10).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase());
        if !plain {
            continue;
        }
        let twice = tokenizer.encode(&format!("the {word} {word} the"), false).map_err(wrong)?;
        if twice.len() == base + 2 {
            words.push(word.to_owned());
        }
        if words.len() == ENOUGH {
            break;
        }
    }
    words.sort_unstable();
    words.dedup();
    if words.len() < TOO_FEW {
        return Err(format!(
            "its vocabulary has {} English words of one token, too few to make texts of exact \
             length from",
            words.len()
        ));
    }
    Ok(words)
}
