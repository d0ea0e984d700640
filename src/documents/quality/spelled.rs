//! Numbers in words: small ones, and words such as *million* after digits.

use crate::documents::termbase::{fold, unspaced, words};

/// Numbers up to this are often written in words.
const SMALL: u32 = 20;

/// Words for 0 to 20, forms apart by `|`; a word counts if it begins so, and if
/// a short form has no more than an ending after it.
static SMALL_WORDS: [(&str, &str); 11] = [
    (
        "en",
        "zero|no one|first|once|single two|second|twice|both|half three|third four|fort five|fift six seven eight nine|nint ten eleven twelve|twelft thirteen fourteen fifteen sixteen seventeen eighteen nineteen twent",
    ),
    (
        "fr",
        "zéro|aucun un|une|premi deux|second|moiti trois|tiers quatr|quart cinq six|sixi sept huit neuf|neuv dix onz douz treiz quatorz quinz seiz dix dix dix vingt",
    ),
    (
        "es",
        "cero|ning un|uno|una|prim dos|segund|ambos|mitad tres|tercer cuatr|cuart cinc|quint seis|sext siete|séptim|setim ocho|octav nueve|noven diez|décim once|undéc doce|duodéc trec catorc quinc dieciséis diecisiete dieciocho diecinueve veint",
    ),
    (
        "pt",
        "zero|nenhum um|uma|prim dois|duas|segund|ambos|metade três|terc quatr|quart cinc|quint seis|sext sete|sétim oito|oitav nove|non dez|décim onze doze treze catorze|quatorze quinze dezasseis|dezesseis dezassete|dezessete dezoito dezanove|dezenove vint",
    ),
    (
        "it",
        "zero|nessun un|uno|una|prim due|second|entramb|metà tre|terz quattr|quart cinqu|quint sei|sest sette|settim otto|ottav nove|non diec|decim undic dodic tredic quattordic quindic sedic diciassett diciott diciannov vent",
    ),
    (
        "de",
        "null|kein ein|eine|einen|einer|eines|erst zwei|zweit|beid|halb|hälft drei|dritt vier fünf sechs sieb acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig",
    ),
    (
        "nl",
        "nul|geen een|één|eerst twee|beid|half|helft drie|derd vier vijf|vijv zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien achttien negentien twintig",
    ),
    (
        "ru",
        "ноль|нул один|одн|перв дв|втор|оба|обе|полов три|трё|трех|трем|трет четыр|четвер|четвёр пят шест сем|седьм восем|восьм девят десят одиннадц двенадц тринадц четырнадц пятнадц шестнадц семнадц восемнадц девятнадц двадц",
    ),
    (
        "ar",
        "صفر واحد|احد|الاول|اول|الاولي اثن|الثان|ثان|نصف ثلاث|ثالث|الثالث اربع|رابع|الرابع خمس|خامس|الخامس ست|سادس|السادس سبع|سابع|السابع ثمان|ثامن|الثامن تسع|تاسع|التاسع عشر|عاشر|العاشر احد|حادي|الحادي اثن|ثاني|الثاني عشر عشر عشر عشر عشر عشر عشر عشر",
    ),
    (
        "hi",
        "शून्य एक|पहल|प्रथम दो|दूसर|द्वितीय|आध तीन|तीसर|तृतीय चार|चौथ पांच|पाँच छह|छः|छठ सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह|पन्द्रह सोलह सत्रह अठारह उन्नीस बीस",
    ),
    (
        "sw",
        "sifuri moja|kwanza|mmoja mbili|pili|wawili|nusu tatu|watatu nne|wanne tano|watano sita saba nane|wanane tisa kumi kumi kumi kumi kumi kumi kumi kumi kumi kumi ishirini",
    ),
];

/// The words after digits that say how many zeros they stand for.
static MAGNITUDES: [(&str, usize); 46] = [
    ("hundred", 2),
    ("thousand", 3),
    ("mille", 3),
    ("mil", 3),
    ("tausend", 3),
    ("mila", 3),
    ("тысяч", 3),
    ("тыс", 3),
    ("الف", 3),
    ("آلاف", 3),
    ("الاف", 3),
    ("हज़ार", 3),
    ("हजार", 3),
    ("elfu", 3),
    ("millones", 6),
    ("millón", 6),
    ("milhões", 6),
    ("milhão", 6),
    ("milioni", 6),
    ("milione", 6),
    ("millionen", 6),
    ("million", 6),
    ("miljoen", 6),
    ("milion", 6),
    ("миллион", 6),
    ("млн", 6),
    ("مليون", 6),
    ("ملايين", 6),
    ("लाख", 5),
    ("करोड़", 7),
    ("अरब", 9),
    ("milliard", 9),
    ("mil millones", 9),
    ("billion", 9),
    ("bilhões", 9),
    ("mil milhões", 9),
    ("miliardi", 9),
    ("miljard", 9),
    ("миллиард", 9),
    ("млрд", 9),
    ("مليار", 9),
    ("بليون", 9),
    ("万", 4),
    ("萬", 4),
    ("亿", 8),
    ("億", 8),
];

/// How many zeros the word stands for that a text begins with.
pub fn magnitude(text: &str) -> Option<usize> {
    let text = text.trim_start_matches([' ', '\u{a0}', '\u{202f}', '-']);
    let begin: String = text.chars().take(24).collect::<String>().to_lowercase();
    let fits = |(word, _): &&(&str, usize)| {
        begin.strip_prefix(word).is_some_and(|rest| {
            // `mil` is not the beginning of `miles`.
            let short = word.chars().count() <= 4 && !unspaced(word);
            !short || !rest.starts_with(char::is_alphabetic)
        })
    };
    MAGNITUDES.iter().filter(fits).max_by_key(|(word, _)| word.len()).map(|(_, zeros)| *zeros)
}

/// A text has a number in words or as a Roman numeral. In a language whose
/// words we do not know, small numbers are taken to be there.
pub fn has(value: u32, text: &str, language: &str) -> bool {
    if unspaced(text) && han(text).contains(&value) {
        return true;
    }
    let found = words(text, language);
    let roman = |word: &str| self::roman(word) == Some(value);
    // `XXIe`: a numeral with an ending.
    let numeral =
        |word: &str| roman(word) || roman(word.trim_end_matches(|c: char| !c.is_ascii_uppercase()));
    if found.iter().any(|word| numeral(&text[word.span.clone()])) {
        return true;
    }
    let Some((_, table)) = SMALL_WORDS.iter().find(|(known, _)| *known == language) else {
        return value <= SMALL;
    };
    let begins = |word: &str, forms: &str| {
        forms.split('|').any(|form| {
            let form = fold(form, language);
            let ending = if form.is_ascii() { 1 } else { 2 };
            let long = form.chars().count() > 3;
            word.strip_prefix(&form).is_some_and(|rest| long || rest.chars().count() <= ending)
        })
    };
    match table.split(' ').nth(value as usize) {
        Some(forms) => found.iter().any(|word| begins(&word.folded, forms)),
        None => {
            let zeros =
                [(100, 2), (1000, 3), (1_000_000, 6)].into_iter().find(|row| row.0 == value);
            zeros.is_some_and(|(_, zeros)| {
                value == 100 && language != "en"
                    || found.iter().any(|word| magnitude(&word.folded) == Some(zeros))
            })
        }
    }
}

/// The value of a Roman numeral in capitals.
fn roman(word: &str) -> Option<u32> {
    let value = |c| {
        Some(match c {
            'I' => 1,
            'V' => 5,
            'X' => 10,
            'L' => 50,
            'C' => 100,
            'D' => 500,
            'M' => 1000,
            _ => return None,
        })
    };
    let values: Vec<u32> = word.chars().map(value).collect::<Option<_>>()?;
    let total = values.iter().enumerate().fold(0i64, |total, (at, value)| {
        let smaller = values.get(at + 1).is_some_and(|next| next > value);
        total + i64::from(*value) * if smaller { -1 } else { 1 }
    });
    u32::try_from(total).ok().filter(|total| *total > 0)
}

/// The numbers below a hundred among Han numerals: 三, 十二, 二十一.
fn han(text: &str) -> Vec<u32> {
    const DIGITS: &str = "〇一二三四五六七八九";
    let digit = |c: char| match c {
        '零' => Some(0),
        '两' | '兩' => Some(2),
        c => DIGITS.chars().position(|d| d == c).map(|at| at as u32),
    };
    let mut found = Vec::new();
    let mut run: Vec<char> = Vec::new();
    for c in text.chars().chain(['\n']) {
        if digit(c).is_some() || c == '十' {
            run.push(c);
            continue;
        }
        if let Some(ten) = run.iter().position(|c| *c == '十') {
            let tens = run[..ten].last().and_then(|c| digit(*c)).unwrap_or(1);
            let ones = run.get(ten + 1).and_then(|c| digit(*c)).unwrap_or(0);
            found.push(tens * 10 + ones);
        } else if run.len() <= 9 {
            let value = run.iter().filter_map(|c| digit(*c)).fold(0, |value, d| value * 10 + d);
            found.extend((!run.is_empty()).then_some(value));
        }
        run.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words_are_seen() {
        let check = |value: u32, language: &str, text: &str, expected: bool| {
            assert_eq!(has(value, text, language), expected, "{value}: {text}");
        };
        check(3, "en", "the third article", true);
        check(3, "en", "the fourth article", false);
        check(3, "fr", "trois articles", true);
        check(2, "de", "beide Länder", true);
        check(4, "ru", "четвёртая статья", true);
        check(3, "ru", "четвёртая статья", false);
        check(5, "ru", "пятая статья", true);
        check(5, "ar", "المادة الخامسة", true);
        check(3, "zh", "第三条", true);
        check(12, "zh", "第十二条", true);
        check(21, "zh", "二十一世纪", true);
        check(21, "fr", "au XXIe siècle", true);
        check(4, "en", "Chapter IV", true);
        check(5, "en", "Chapter IV", false);
        check(15, "en", "fifteen", true);
        check(15, "en", "sixteen", false);
        check(1, "fr", "États-Unis", false);
        check(1000, "en", "a thousand years", true);
        check(37, "en", "thirty-seven", false);
        check(7, "fi", "seitsemän", true);
        check(700, "fi", "seitsemän", false);
    }

    #[test]
    fn magnitudes_follow_digits() {
        let check =
            |text: &str, expected: Option<usize>| assert_eq!(magnitude(text), expected, "{text}");
        check(" million", Some(6));
        check(" Millionen", Some(6));
        check(" milliards", Some(9));
        check(" mil millones", Some(9));
        check(" mil personas", Some(3));
        check(" miles", None);
        check("万人", Some(4));
        check(" млн", Some(6));
        check(" persons", None);
        check("", None);
    }
}
