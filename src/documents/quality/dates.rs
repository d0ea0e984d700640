//! Dates of both texts: `2020-03-12`, `12.3.2020`, `12 March 2020`,
//! `2020年3月12日`.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::digits::ascii;
use super::{Done, Finding, Kind, Severity, Texts, overlaps};
use crate::documents::termbase::{Word, fold, words};

/// A date, as far as it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Date {
    span: Range<usize>,
    year: Option<u32>,
    /// Month and day; where a text does not say which is which, both ways.
    days: Vec<(u32, Option<u32>)>,
}

/// The beginnings of months' names, from January, forms apart by `|`.
static MONTHS: [(&str, &str); 15] = [
    ("en", "jan february march april may june july august september october november december"),
    (
        "fr",
        "janvier février|fevrier mars avril mai juin juillet août|aout septembre octobre novembre décembre|decembre",
    ),
    (
        "es",
        "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre",
    ),
    (
        "pt",
        "janeiro fevereiro março|marco abril maio junho julho agosto setembro outubro novembro dezembro",
    ),
    (
        "it",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    ),
    (
        "de",
        "januar|jänner februar märz april mai juni juli august september oktober november dezember",
    ),
    (
        "nl",
        "januari februari maart april mei juni juli augustus september oktober november december",
    ),
    ("pl", "stycz lut marz|marc kwiet maj|maja czerw lip sierp wrze paździer listopad grud"),
    ("ru", "январ феврал март апрел май|мая июн июл август сентябр октябр ноябр декабр"),
    ("uk", "січ лют берез|березн квіт трав черв лип серп верес жовт листопад груд"),
    (
        "ar",
        "يناير|كانون فبراير|شباط مارس|اذار ابريل|نيسان مايو|ايار يونيو|يونيه|حزيران يوليو|يوليه|تموز اغسطس|اب سبتمبر|ايلول اكتوبر|تشرين نوفمبر|تشرين ديسمبر|كانون",
    ),
    (
        "hi",
        "जनवरी फरवरी|फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर|सितम्बर अक्टूबर|अक्तूबर नवंबर|नवम्बर दिसंबर|दिसम्बर",
    ),
    ("sw", "januari februari machi aprili mei juni julai agosti septemba oktoba novemba desemba"),
    ("tr", "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık"),
    ("sv", "januari februari mars april maj juni juli augusti september oktober november december"),
];

/// Checks the dates; those found in either text are done with, but for those of
/// a language whose months we do not know.
pub fn check(texts: Texts<'_>, done: &Done, findings: &mut Vec<Finding>) -> Done {
    let mut done = done.clone();
    let source = dates(texts.source, texts.source_language, &done.source);
    let target = dates(texts.target, texts.target_language, &done.target);
    let known = |language| {
        MONTHS.iter().any(|(known, _)| *known == language)
            || ["zh", "zt", "ja", "ko"].contains(&language)
    };
    if !known(texts.source_language) || !known(texts.target_language) {
        return done;
    }
    let mut free = vec![true; target.len()];
    for date in &source {
        match (0..target.len()).find(|&at| free[at] && same(date, &target[at])) {
            Some(at) => {
                free[at] = false;
                done.source.push(date.span.clone());
                done.target.push(target[at].span.clone());
            }
            None => {
                // Its numbers are not looked for once more.
                done.source.push(date.span.clone());
                let shown = &texts.source[date.span.clone()];
                let why = format!("the date {shown} is not in the translation");
                let finding = Finding::new(Kind::Date, Severity::Major, why);
                findings.push(finding.in_source(date.span.clone()));
            }
        }
    }
    for (date, _) in target.iter().zip(free).filter(|(_, free)| *free) {
        done.target.push(date.span.clone());
        let shown = &texts.target[date.span.clone()];
        let why = format!("the date {shown} is not in the source");
        let finding = Finding::new(Kind::Date, Severity::Major, why);
        findings.push(finding.in_target(date.span.clone()));
    }
    done
}

fn same(a: &Date, b: &Date) -> bool {
    a.year == b.year && a.days.iter().any(|day| b.days.contains(day))
}

fn dates(text: &str, language: &str, done: &[Range<usize>]) -> Vec<Date> {
    let mut found = numeric(text);
    let named = match language {
        "zh" | "zt" | "ja" | "ko" => east_asian(text),
        _ => named(text, language),
    };
    for date in named {
        if !overlaps(&found.iter().map(|d| d.span.clone()).collect::<Vec<_>>(), &date.span) {
            found.push(date);
        }
    }
    found.retain(|date| !overlaps(done, &date.span));
    found.sort_by_key(|date| date.span.start);
    found
}

/// A text with ASCII digits, and from its places to those of the text.
fn with_places(text: &str) -> (String, Vec<usize>) {
    let plain = ascii(text);
    let mut places = Vec::with_capacity(plain.len() + 1);
    for ((at, _), c) in text.char_indices().zip(plain.chars()) {
        places.extend(std::iter::repeat_n(at, c.len_utf8()));
    }
    places.push(text.len());
    (plain, places)
}

fn valid(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

fn numeric(text: &str) -> Vec<Date> {
    static ISO: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d{4})-(\d{1,2})-(\d{1,2})"));
    static LOCAL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(\d{1,2})([./-])(\d{1,2})([./-])(\d{4})"));
    let (plain, places) = with_places(text);
    let bounded = |range: &Range<usize>| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == '/');
        !digit(plain[..range.start].chars().next_back())
            && !digit(plain[range.end..].chars().next())
    };
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let mut found = Vec::new();
    for groups in ISO.captures_iter(&plain) {
        let (_, [year, month, day]) = groups.extract();
        let range = groups.get_match().range();
        let (month, day) = (number(month), number(day));
        if valid(month, day) && bounded(&range) {
            let span = places[range.start]..places[range.end];
            found.push(Date { span, year: Some(number(year)), days: vec![(month, Some(day))] });
        }
    }
    for groups in LOCAL.captures_iter(&plain) {
        let (_, [first, mark, second, again, year]) = groups.extract();
        let range = groups.get_match().range();
        let (first, second) = (number(first), number(second));
        let both = [(second, first), (first, second)];
        let days: Vec<_> = (both.into_iter())
            .filter(|(month, day)| valid(*month, *day))
            .map(|(month, day)| (month, Some(day)))
            .collect();
        if !days.is_empty() && mark == again && bounded(&range) {
            let span = places[range.start]..places[range.end];
            found.push(Date { span, year: Some(number(year)), days });
        }
    }
    found
}

fn east_asian(text: &str) -> Vec<Date> {
    static DATE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?:(\d{4})\s*[年년]\s*)?(\d{1,2})\s*[月월](?:\s*(\d{1,2})\s*[日일号號])?")
    });
    let (plain, places) = with_places(text);
    let mut found = Vec::new();
    for groups in DATE.captures_iter(&plain) {
        let number =
            |at: usize| groups.get(at).and_then(|found| found.as_str().parse::<u32>().ok());
        let (year, day) = (number(1), number(3));
        let Some(month) = number(2).filter(|month| valid(*month, day.unwrap_or(1))) else {
            continue;
        };
        // `3 months` has neither.
        if year.is_none() && day.is_none() {
            continue;
        }
        let range = groups.get_match().range();
        found.push(Date {
            span: places[range.start]..places[range.end],
            year,
            days: vec![(month, day)],
        });
    }
    found
}

/// Months by their names, with the numbers next to them.
fn named(text: &str, language: &str) -> Vec<Date> {
    let Some((_, names)) = MONTHS.iter().find(|(known, _)| *known == language) else {
        return Vec::new();
    };
    let months: Vec<Vec<String>> = (names.split(' '))
        .map(|forms| forms.split('|').map(|form| fold(form, language)).collect())
        .collect();
    let words = words(text, language);
    let number = |at: Option<usize>| -> Option<u32> {
        let word = &words[at.filter(|at| *at < words.len())?];
        let digits: String =
            ascii(&text[word.span.clone()]).chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let year = |at| number(at).filter(|year| (1000..=2999).contains(year));
    let day = |at| number(at).filter(|day| (1..=31).contains(day));
    // Words between a day, a month and a year: `12 de marzo de 2020`.
    let filler = |at: usize| {
        ["de", "del", "of", "the", "er", "do", "da", "th", "st", "nd", "rd", "г", "من"]
            .contains(&&*words[at].folded)
    };
    let mut found: Vec<Date> = Vec::new();
    let month_of = |word: &Word| {
        months.iter().position(|forms| {
            forms.iter().any(|form| {
                let whole = form.chars().count() <= 3;
                if whole && language != "en" && language != "pl" && language != "uk" {
                    word.folded == *form
                } else {
                    word.folded.starts_with(form.as_str())
                        && word.folded.chars().count() <= form.chars().count() + 6
                }
            })
        })
    };
    for (at, word) in words.iter().enumerate() {
        if found.last().is_some_and(|date| word.span.start < date.span.end) {
            continue;
        }
        let Some(month) = month_of(word).map(|month| month as u32 + 1) else { continue };
        // The Levant's names of two words, as `كانون الثاني`.
        let mut months = vec![month];
        let mut end = at;
        if language == "ar"
            && [1, 12, 10, 11].contains(&month)
            && ["كانون", "تشرين"].contains(&&*word.folded)
        {
            let second = words.get(at + 1).is_some_and(|next| next.folded == "الثاني");
            months = match (&*word.folded == "كانون", second) {
                (true, true) => vec![1],
                (true, false) => vec![12],
                (false, true) => vec![11],
                (false, false) => vec![10],
            };
            end = at + 1;
        }
        // Both names of a month, as the United Nations write them in Arabic.
        if words.get(end + 1).is_some_and(|next| {
            &text[words[end].span.end..next.span.start] == "/" && month_of(next).is_some()
        }) {
            end += 1;
        }
        let back = (1..=2).filter_map(|step| at.checked_sub(step)).find(|at| !filler(*at));
        let mut next = end + 1;
        while next < words.len() && filler(next) {
            next += 1;
        }
        let (mut of_day, mut start, mut of_year) = (day(back), at, None);
        if of_day.is_some() {
            start = back.unwrap_or(at);
        } else if let Some(found) = day(Some(next)).filter(|_| year(Some(next)).is_none()) {
            // `March 12, 2020`
            of_day = Some(found);
            end = next;
            next += 1;
        }
        while next < words.len() && filler(next) {
            next += 1;
        }
        if let Some(found) = year(Some(next)) {
            of_year = Some(found);
            end = next;
        }
        if of_day.is_none() && of_year.is_none() {
            continue;
        }
        let span = words[start].span.start..words[end.min(words.len() - 1)].span.end;
        let days = months.into_iter().map(|month| (month, of_day)).collect();
        found.push(Date { span, year: of_year, days });
    }
    found
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("a pattern of ours is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let check = |language: &str, text: &str, expected: (Option<u32>, u32, Option<u32>)| {
            let found = dates(text, language, &[]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].year, expected.0, "{text}");
            assert!(found[0].days.contains(&(expected.1, expected.2)), "{text}: {found:?}");
        };
        let day = (Some(2020), 3, Some(12));
        check("en", "on 12 March 2020.", day);
        check("en", "on March 12, 2020,", day);
        check("en", "the 12th of March 2020", day);
        check("en", "2020-03-12", day);
        check("en", "03/12/2020", day);
        check("de", "am 12. März 2020", day);
        check("de", "am 12.3.2020", day);
        check("fr", "le 12 mars 2020", day);
        check("fr", "le 1er mars 2020", (Some(2020), 3, Some(1)));
        check("es", "el 12 de marzo de 2020", day);
        check("pt", "12 de março de 2020", day);
        check("ru", "12 марта 2020 года", day);
        check("pl", "12 marca 2020 r.", day);
        check("ar", "١٢ آذار/مارس ٢٠٢٠", day);
        check("ar", "12 كانون الثاني 2020", (Some(2020), 1, Some(12)));
        check("hi", "१२ मार्च २०२०", day);
        check("zh", "2020年3月12日", day);
        check("ja", "２０２０年３月１２日", day);
        check("ko", "2020년 3월 12일", day);
        check("fr", "en mars 2020", (Some(2020), 3, None));
        check("en", "May 2020", (Some(2020), 5, None));
        for (language, text) in [
            ("en", "it may be"),
            ("zh", "3个月"),
            ("en", "march on"),
            ("en", "99/99/2020"),
            ("fr", "de mars"),
        ] {
            assert_eq!(dates(text, language, &[]), [], "{text}");
        }
    }
}
