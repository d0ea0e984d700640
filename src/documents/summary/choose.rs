//! Of the sentences that stand for most of a document those that matter most, as
//! the model sees it.

use super::{Request, Summarizer, prompt};
use crate::documents::ask;
use crate::documents::source::Sentence;
use crate::engine::{GrammarSpec, StopConditions, SubmitError, Usage};

/// Sentences that the model is shown for each that is wanted.
pub const CHOICE: usize = 3;
/// Most sentences that are compared.
const MOST: usize = 60;
/// Share of the context that they may fill.
const SHARE: usize = 2;
/// Tokens of a number and what stands around it.
const NUMBER_TOKENS: usize = 8;

/// `count` of `ranked`, which come best first, so that a model that has no
/// opinion and takes the first ones takes the best.
pub async fn choose(
    summarizer: &Summarizer,
    request: &Request,
    ranked: &[&Sentence],
    count: usize,
) -> Result<(Vec<usize>, Usage), SubmitError> {
    let engine = &summarizer.engine;
    let first = (0..count.min(ranked.len())).collect();
    if count >= ranked.len() || count >= MOST {
        return Ok((first, Usage::default()));
    }
    // As many as fit.
    let room = engine.info().limits.context_length / SHARE;
    let mut numbered = String::new();
    let mut total = 0;
    let mut used = 0;
    for sentence in ranked.iter().take(MOST) {
        let line = format!("[{}] {}\n", total + 1, sentence.line);
        used += engine.encode(line.clone(), false).await?.len();
        if used > room {
            break;
        }
        numbered += &line;
        total += 1;
    }
    if total <= count {
        return Ok((first, Usage::default()));
    }
    let task = prompt::choose(request, (count, total), numbered.trim_end());
    let tokens = ask::prompt(engine, prompt::system(), &[("user", &task)]).await?;
    let grammar = GrammarSpec::Lark(lark(count, total));
    let stop =
        StopConditions { max_tokens: Some(count * NUMBER_TOKENS), ..StopConditions::default() };
    let answer = ask::answer(engine, tokens, grammar, stop, request.priority).await?;
    Ok((numbers(&answer.text, count, total), answer.usage))
}

/// `count` numbers from 1 to `total`.
fn lark(count: usize, total: usize) -> String {
    let numbers: Vec<String> = (1..=total).map(|number| format!("\"{number}\"")).collect();
    // No repetition of nothing is a rule of Lark's.
    let others = match count {
        0 | 1 => String::new(),
        count => format!(" (\", \" NUMBER){{{}}}", count - 1),
    };
    format!("start: NUMBER{others}\nNUMBER: {}\n", numbers.join(" | "))
}

/// Places that were chosen. Where one was written twice, the first fill up.
fn numbers(answer: &str, count: usize, total: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    let written = answer.split(',').filter_map(|number| number.trim().parse::<usize>().ok());
    let written = written.filter(|number| (1..=total).contains(number)).map(|number| number - 1);
    for place in written.chain(0..total) {
        if chosen.len() < count && !chosen.contains(&place) {
            chosen.push(place);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_and_as_many_as_wanted() {
        assert_eq!(numbers("7, 2, 9", 3, 9), [6, 1, 8]);
        assert_eq!(numbers("3, 3, 3", 3, 5), [2, 0, 1]);
        assert_eq!(numbers("12, 0, ", 2, 5), [0, 1]);
        assert_eq!(lark(1, 2), "start: NUMBER\nNUMBER: \"1\" | \"2\"\n");
        assert_eq!(lark(2, 3), "start: NUMBER (\", \" NUMBER){1}\nNUMBER: \"1\" | \"2\" | \"3\"\n");
    }
}
