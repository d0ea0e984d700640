//! Of all statements of a document those that matter most.

use std::collections::HashSet;

use super::prompt;
use super::{Request, Statement, Summarizer, Summary};
use crate::documents::ask;
use crate::engine::{
    GenerationRequest, GrammarSpec, SamplingParams, StopConditions, SubmitError, Usage,
};

/// Statements that are compared at a time.
const GROUP: usize = 40;
/// Tokens of a number and what stands around it.
const NUMBER_TOKENS: usize = 8;

/// In the order of the document.
pub fn order(statements: &mut [Statement]) {
    statements.sort_by_key(|statement| {
        statement.citations.first().map(|citation| (citation.paragraph, citation.span.start))
    });
}

/// Without statements that say the same words, or rest on the same sentences
/// and say as many things.
pub fn drop_repeated(statements: &mut Vec<Statement>) {
    let mut said = HashSet::new();
    statements.retain(|statement| said.insert(statement.texts.join("\n").to_lowercase()));
    let mut rested = HashSet::new();
    statements.retain(|statement| {
        let single = statement.texts.len() == 1;
        let places = statement.citations.iter().map(|c| (c.paragraph, c.span.start));
        !single || rested.insert(places.collect::<Vec<_>>())
    });
}

/// Leaves as many statements as are wanted. Long lists are halved, group by
/// group, until all that is left can be compared at once.
pub async fn choose(
    summarizer: &Summarizer,
    request: &Request,
    summary: &mut Summary,
) -> Result<(), SubmitError> {
    let wanted = request.statements;
    while summary.statements.len() > wanted {
        let total = summary.statements.len();
        let keep = if total <= GROUP { wanted } else { wanted.max(total / 2) };
        let all = std::mem::take(&mut summary.statements);
        let groups = all.chunks(GROUP);
        let shares = shares(keep, &groups.clone().map(<[_]>::len).collect::<Vec<_>>());
        for (group, count) in groups.zip(shares) {
            let (kept, usage) = best(summarizer, request, group, count).await?;
            super::add(&mut summary.usage, usage);
            summary.statements.extend(kept);
        }
    }
    Ok(())
}

/// `keep` shared out by size, no share larger than its group.
fn shares(keep: usize, sizes: &[usize]) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let mut given = 0;
    let mut seen = 0;
    (sizes.iter())
        .map(|size| {
            seen += size;
            let up_to = keep * seen / total.max(1);
            let share = up_to - given;
            given = up_to;
            share
        })
        .collect()
}

/// The statements of a group whose numbers the model writes. Where it writes one
/// twice, the group's first fill the places.
async fn best(
    summarizer: &Summarizer,
    request: &Request,
    group: &[Statement],
    count: usize,
) -> Result<(Vec<Statement>, Usage), SubmitError> {
    let engine = &summarizer.engine;
    if count == 0 || count >= group.len() {
        return Ok((group[..count.min(group.len())].to_vec(), Usage::default()));
    }
    let numbered: Vec<String> = (group.iter().enumerate())
        .map(|(at, statement)| format!("[{}] {}", at + 1, statement.texts.join(" | ")))
        .collect();
    let task = prompt::choose(request, (count, group.len()), &numbered.join("\n"));
    let tokens = ask::prompt(engine, prompt::system(), &[("user", &task)]).await?;
    let lark = lark(count, group.len());
    let grammar = engine.compile_grammar(GrammarSpec::Lark(lark)).await?;
    let asked = GenerationRequest {
        prompt: tokens,
        sampling: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
        stop: StopConditions {
            max_tokens: Some(count * NUMBER_TOKENS),
            ..StopConditions::default()
        },
        grammar: Some(grammar),
        priority: request.priority,
        ..GenerationRequest::default()
    };
    let answer = ask::collect(engine, asked).await?;
    let chosen = numbers(&answer.text, count, group.len());
    Ok((chosen.into_iter().map(|at| group[at].clone()).collect(), answer.usage))
}

/// `count` numbers from 1 to `total`.
fn lark(count: usize, total: usize) -> String {
    let numbers: Vec<String> = (1..=total).map(|number| format!("\"{number}\"")).collect();
    format!("start: NUMBER (\", \" NUMBER){{{}}}\nNUMBER: {}\n", count - 1, numbers.join(" | "))
}

/// Places in the group, in its order.
fn numbers(answer: &str, count: usize, total: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    let written = answer.split(',').filter_map(|number| number.trim().parse::<usize>().ok());
    let written = written.filter(|number| (1..=total).contains(number)).map(|number| number - 1);
    for place in written.chain(0..total) {
        if chosen.len() < count && !chosen.contains(&place) {
            chosen.push(place);
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::summary::Citation;

    fn statement(text: &str, paragraph: usize) -> Statement {
        let citations = vec![Citation { paragraph, span: 0..4 }];
        Statement { texts: vec![text.into()], citations, support: None, notes: Vec::new() }
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let mut all = vec![
            statement("Late.", 9),
            statement("All are equal.", 1),
            statement("all are equal.", 2),
            statement("Everybody is equal.", 1),
        ];
        order(&mut all);
        drop_repeated(&mut all);
        let texts: Vec<&str> = all.iter().map(|s| &*s.texts[0]).collect();
        assert_eq!(texts, ["All are equal.", "Late."]);
    }

    #[test]
    fn shares_add_up() {
        for (keep, sizes) in
            [(5, vec![40, 40, 40, 3]), (7, vec![40]), (60, vec![40, 40, 41]), (1, vec![40, 40])]
        {
            let shares = shares(keep, &sizes);
            assert_eq!(shares.iter().sum::<usize>(), keep, "{sizes:?}");
            assert!(shares.iter().zip(&sizes).all(|(share, size)| share <= size), "{shares:?}");
        }
    }

    #[test]
    fn numbers_are_places_and_as_many_as_wanted() {
        assert_eq!(numbers("7, 2, 9", 3, 9), [1, 6, 8]);
        assert_eq!(numbers("3, 3, 3", 3, 5), [0, 1, 2]);
        assert_eq!(numbers("12, 0, ", 2, 5), [0, 1]);
        assert_eq!(lark(2, 3), "start: NUMBER (\", \" NUMBER){1}\nNUMBER: \"1\" | \"2\" | \"3\"\n");
    }
}
