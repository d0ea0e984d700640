//! Whether text survives the tokenizer, in many languages.

use super::finding::Finding;
use super::texts::ARTICLE_1;
use crate::provision::{Grade, Manifest, languages};
use crate::text::Tokenizer;

/// Times as many tokens as English from which a language is called dear.
const DEAR: f64 = 2.5;

/// Whether the model has a row for every token.
pub fn fits(tokenizer: &Tokenizer, rows: usize) -> Finding {
    let ids = tokenizer.vocab_size();
    match ids <= rows {
        true => Finding::ok("vocabulary", format!("{ids} tokens, {rows} rows of the model")),
        false => Finding::failure(
            "vocabulary",
            format!("the tokenizer has {ids} tokens, the model only {rows} rows"),
        )
        .fix("take the tokenizer's files from the repository the weights come from"),
    }
}

/// What became of a text.
struct Trip {
    tag: &'static str,
    tokens: usize,
    /// The tokenizer had no token for some of it.
    unknown: bool,
    /// It came back as it was.
    same: bool,
}

/// Encodes and decodes one text in all languages.
pub fn round_trip(tokenizer: &Tokenizer, manifest: Option<&Manifest>, generates: bool) -> Finding {
    let mut trips = Vec::new();
    for (tag, text) in ARTICLE_1 {
        let encoded = tokenizer.encode(text, false);
        let decoded = encoded.as_ref().map(|ids| tokenizer.decode(ids, false));
        trips.push(match (&encoded, decoded) {
            (Ok(ids), Ok(Ok(decoded))) => Trip {
                tag,
                tokens: ids.len(),
                // The text has no token that never shows in one.
                unknown: ids.iter().any(|id| tokenizer.is_special(*id)),
                same: decoded.trim() == text,
            },
            _ => Trip { tag, tokens: 0, unknown: true, same: false },
        });
    }
    judge(&trips, manifest, generates)
}

fn judge(trips: &[Trip], manifest: Option<&Manifest>, generates: bool) -> Finding {
    let names = |which: &dyn Fn(&&Trip) -> bool| {
        let found = trips.iter().filter(which);
        found.map(|t| languages::name(t.tag).unwrap_or(t.tag)).collect::<Vec<_>>().join(", ")
    };
    let graded = |tag: &str| manifest.and_then(|m| m.languages.grade(tag));
    let promised = |t: &&Trip| t.tag == "en" || graded(t.tag).is_some_and(|g| g > Grade::Weak);
    let broken = names(&|t| t.unknown && promised(t));
    let another =
        "the tokenizer's files do not belong to this model or are damaged; fetch them again";
    if !broken.is_empty() {
        let message = format!("it has no tokens for text in {broken}");
        return Finding::failure("tokenizer", message).fix(another);
    }
    let changed = names(&|t| !t.unknown && !t.same);
    if generates && trips.iter().any(|t| t.tag == "en" && !t.same) {
        let message = "English text does not come back as it was".to_owned();
        return Finding::failure("tokenizer", message).fix(another);
    }
    let unknown = names(&|t| t.unknown);
    let english = trips.iter().find(|t| t.tag == "en").map_or(1, |t| t.tokens.max(1));
    let times = |t: &Trip| t.tokens as f64 / english as f64;
    let mut dear: Vec<&Trip> = trips.iter().filter(|t| !t.unknown && times(t) > DEAR).collect();
    dear.sort_by_key(|t| std::cmp::Reverse(t.tokens));
    let dear: Vec<String> = (dear.iter())
        .map(|t| format!("{} {:.1}", languages::name(t.tag).unwrap_or(t.tag), times(t)))
        .collect();
    let same = trips.iter().filter(|t| t.same).count();
    let mut message = format!("{same} of {} languages come back as they were", trips.len());
    if !dear.is_empty() {
        message += &format!("; tokens for those of English: {}", dear.join(", "));
    }
    if !unknown.is_empty() {
        let message = format!("{message}; it has no tokens for all of {unknown}");
        return Finding::warning("tokenizer", message)
            .fix("use another model for these languages; `dragoman models --language` names one");
    }
    match (changed.is_empty(), generates) {
        (true, _) => Finding::ok("tokenizer", message),
        // Encoders may make texts lower-case and take accents off.
        (false, false) => Finding::ok("tokenizer", format!("{message}, others simplified")),
        (false, true) => Finding::warning(
            "tokenizer",
            format!("{message}; it spells some characters otherwise in {changed}"),
        )
        .fix(
            "nothing, where the texts look the same: Unicode has several spellings of a character",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;
    use crate::provision::Catalogue;

    #[test]
    fn what_a_tokenizer_does_to_a_text_is_judged_by_what_was_promised() {
        let e5 = Catalogue::built_in().unwrap().get("multilingual-e5-small").cloned().unwrap();
        // English, Hindi and Amharic: tokens, unknown, same.
        let check =
            |states: [(usize, bool, bool); 3], m: Option<&Manifest>, generates, expected| {
                let (status, part): (Status, &str) = expected;
                let trips: Vec<Trip> = (["en", "hi", "am"].into_iter().zip(states))
                    .map(|(tag, (tokens, unknown, same))| Trip { tag, tokens, unknown, same })
                    .collect();
                let found = judge(&trips, m, generates);
                assert!(found.status == status && found.message.contains(part), "{found:?}");
            };
        let (good, bad) = ((10, false, true), (10, true, false));
        check([good; 3], None, true, (Status::Ok, "3 of 3"));
        check([good, (40, false, true), good], None, true, (Status::Ok, "Hindi 4.0"));
        check([good, bad, good], Some(&e5), false, (Status::Failure, "Hindi"));
        check([good, bad, good], None, false, (Status::Warning, "Hindi"));
        check([good, good, bad], Some(&e5), false, (Status::Warning, "Amharic"));
        check([bad, good, good], None, false, (Status::Failure, "English"));
        let changed = (10, false, false);
        check([good, changed, good], None, true, (Status::Warning, "otherwise in Hindi"));
        check([changed, good, good], None, false, (Status::Ok, "simplified"));
        check([changed, good, good], None, true, (Status::Failure, "English text"));
    }
}
