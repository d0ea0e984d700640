//! In which language a text is, with a confidence.
//!
//! The script decides where one language is written in it; between those that
//! share a script, n-gram models of `lingua` do. Its models are read where they
//! stand in the program, and built up on the first text that needs them.

use std::sync::OnceLock;

use lingua::{IsoCode639_1, Language, LanguageDetector, LanguageDetectorBuilder};
use unicode_script::{Script, UnicodeScript};

/// Below this a text's language is not known, unless it stands out among the
/// others.
pub const THRESHOLD: f32 = 0.5;
/// Confidence that does for a language that stands out so many times.
const STANDING_OUT: (f32, f32) = (0.25, 3.0);
/// The confidence of the next language must be below this share.
const NEXT: f32 = 0.7;
/// A text with fewer letters says too little. One of a script that a single
/// language has says enough with two.
const FEWEST_LETTERS: usize = 3;

/// What a text's language is taken to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Two letters (ISO 639-1), `None` when it is not known.
    pub language: Option<&'static str>,
    /// From 0 to 1. Of the best guess, also where it is too low to be one.
    pub confidence: f32,
}

impl Detection {
    const UNKNOWN: Self = Self { language: None, confidence: 0.0 };
}

/// Scripts that we take for one language each. Where others write them too,
/// those are rare in our texts, and the confidence is lower.
static SINGLE: [(Script, &str, f32); 24] = [
    (Script::Armenian, "hy", 1.0),
    (Script::Bengali, "bn", 0.9),
    (Script::Ethiopic, "am", 0.8),
    (Script::Georgian, "ka", 1.0),
    (Script::Greek, "el", 1.0),
    (Script::Gujarati, "gu", 1.0),
    (Script::Gurmukhi, "pa", 1.0),
    (Script::Han, "zh", 0.9),
    (Script::Hangul, "ko", 1.0),
    (Script::Hebrew, "he", 0.9),
    (Script::Hiragana, "ja", 1.0),
    (Script::Kannada, "kn", 1.0),
    (Script::Katakana, "ja", 1.0),
    (Script::Khmer, "km", 1.0),
    (Script::Lao, "lo", 1.0),
    (Script::Malayalam, "ml", 1.0),
    (Script::Myanmar, "my", 0.9),
    (Script::Oriya, "or", 1.0),
    (Script::Sinhala, "si", 1.0),
    (Script::Tamil, "ta", 1.0),
    (Script::Telugu, "te", 1.0),
    (Script::Thai, "th", 1.0),
    (Script::Tibetan, "bo", 0.8),
    (Script::Thaana, "dv", 1.0),
];

/// The languages of a script that are told apart by their n-grams.
fn sharing(script: Script) -> &'static [Language] {
    use Language::*;
    match script {
        Script::Latin => &[
            Croatian, Czech, Danish, Dutch, English, Estonian, Finnish, French, German, Hungarian,
            Irish, Italian, Latvian, Lithuanian, Polish, Portuguese, Romanian, Slovak, Slovene,
            Spanish, Swahili, Swedish, Turkish, Vietnamese,
        ],
        Script::Cyrillic => &[Bulgarian, Russian, Ukrainian],
        Script::Arabic => &[Arabic, Persian, Urdu],
        Script::Devanagari => &[Hindi, Marathi],
        _ => &[],
    }
}

/// The codes of all languages that can be detected, sorted.
pub fn detected() -> Vec<&'static str> {
    let scripts = [Script::Latin, Script::Cyrillic, Script::Arabic, Script::Devanagari];
    let shared = scripts.into_iter().flat_map(sharing).map(code);
    let mut all: Vec<_> = SINGLE.iter().map(|row| row.1).chain(shared).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The language of a text.
pub fn detect(text: &str) -> Detection {
    let Some((script, letters, share)) = main_script(text) else {
        return Detection::UNKNOWN;
    };
    let (language, confidence, next) = match SINGLE.iter().find(|row| row.0 == script) {
        Some(row) => (row.1, row.2 * share, 0.0),
        None if letters < FEWEST_LETTERS => return Detection::UNKNOWN,
        None => match by_ngrams(script, text) {
            Some((language, first, second)) => (language, first * share, second * share),
            None => return Detection::UNKNOWN,
        },
    };
    let (enough, times) = STANDING_OUT;
    let known = (confidence >= THRESHOLD && next <= confidence * NEXT)
        || (confidence >= enough && confidence >= next * times);
    Detection { language: known.then_some(language), confidence }
}

/// The script of most letters, how many letters there are, and its share of
/// them. Kana make a text Japanese, however many Han characters it has.
fn main_script(text: &str) -> Option<(Script, usize, f32)> {
    let mut counts: Vec<(Script, usize)> = Vec::new();
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let script = match c.script() {
            Script::Common | Script::Inherited => continue,
            Script::Katakana => Script::Hiragana,
            script => script,
        };
        match counts.iter_mut().find(|(known, _)| *known == script) {
            Some((_, count)) => *count += 1,
            None => counts.push((script, 1)),
        }
    }
    let count = |counts: &[(Script, usize)], script| {
        counts.iter().find(|(known, _)| *known == script).map_or(0, |(_, count)| *count)
    };
    let (kana, han) = (count(&counts, Script::Hiragana), count(&counts, Script::Han));
    if kana * 10 >= han && kana > 0 {
        counts.retain(|(script, _)| *script != Script::Han);
        counts.iter_mut().filter(|c| c.0 == Script::Hiragana).for_each(|c| c.1 += han);
    }
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let (script, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some((script, total, most as f32 / total as f32))
}

/// The likeliest language of a script, its confidence, and that of the next.
fn by_ngrams(script: Script, text: &str) -> Option<(&'static str, f32, f32)> {
    static DETECTORS: [OnceLock<LanguageDetector>; 4] = [const { OnceLock::new() }; 4];
    let detector = match script {
        Script::Latin => &DETECTORS[0],
        Script::Cyrillic => &DETECTORS[1],
        Script::Arabic => &DETECTORS[2],
        Script::Devanagari => &DETECTORS[3],
        _ => return None,
    };
    let detector =
        detector.get_or_init(|| LanguageDetectorBuilder::from_languages(sharing(script)).build());
    let mut values = detector.compute_language_confidence_values(text).into_iter();
    let (language, first) = values.next()?;
    let second = values.next().map_or(0.0, |(_, second)| second as f32);
    Some((code(&language), first as f32, second))
}

fn code(language: &Language) -> &'static str {
    match language.iso_code_639_1() {
        IsoCode639_1::AR => "ar",
        IsoCode639_1::BG => "bg",
        IsoCode639_1::CS => "cs",
        IsoCode639_1::DA => "da",
        IsoCode639_1::DE => "de",
        IsoCode639_1::EN => "en",
        IsoCode639_1::ES => "es",
        IsoCode639_1::ET => "et",
        IsoCode639_1::FA => "fa",
        IsoCode639_1::FI => "fi",
        IsoCode639_1::FR => "fr",
        IsoCode639_1::GA => "ga",
        IsoCode639_1::HI => "hi",
        IsoCode639_1::HR => "hr",
        IsoCode639_1::HU => "hu",
        IsoCode639_1::IT => "it",
        IsoCode639_1::LT => "lt",
        IsoCode639_1::LV => "lv",
        IsoCode639_1::MR => "mr",
        IsoCode639_1::NL => "nl",
        IsoCode639_1::PL => "pl",
        IsoCode639_1::PT => "pt",
        IsoCode639_1::RO => "ro",
        IsoCode639_1::RU => "ru",
        IsoCode639_1::SK => "sk",
        IsoCode639_1::SL => "sl",
        IsoCode639_1::SV => "sv",
        IsoCode639_1::SW => "sw",
        IsoCode639_1::TR => "tr",
        IsoCode639_1::UK => "uk",
        IsoCode639_1::UR => "ur",
        IsoCode639_1::VI => "vi",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_apart() {
        let check = |text: &str, expected: Option<&str>| {
            let found = detect(text);
            assert_eq!(found.language, expected, "{text}: {found:?}");
            assert!((0.0..=1.0).contains(&found.confidence), "{text}: {found:?}");
        };
        // Article 1 of the Universal Declaration of Human Rights.
        check("All human beings are born free and equal in dignity and rights.", Some("en"));
        check(
            "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
            Some("fr"),
        );
        check("Todos los seres humanos nacen libres e iguales en dignidad y derechos.", Some("es"));
        check(
            "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
            Some("pt"),
        );
        check("Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.", Some("it"));
        check("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", Some("de"));
        check("Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.", Some("nl"));
        check("Wszyscy ludzie rodzą się wolni i równi pod względem swej godności.", Some("pl"));
        check("Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.", Some("cs"));
        check("Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.", Some("sw"));
        check("Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.", Some("tr"));
        check("Tất cả mọi người sinh ra đều được tự do và bình đẳng.", Some("vi"));
        check("Все люди рождаются свободными и равными в своем достоинстве.", Some("ru"));
        check("Всі люди народжуються вільними і рівними у своїй гідності.", Some("uk"));
        check("Всички хора се раждат свободни и равни по достойнство.", Some("bg"));
        check("يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.", Some("ar"));
        check("تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت برابرند.", Some("fa"));
        check("تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔", Some("ur"));
        check("सभी मनुष्यों को गौरव और अधिकारों के मामले में स्वतन्त्रता प्राप्त है।", Some("hi"));
        check("सर्व मानवी व्यक्ति जन्मतः स्वतंत्र आहेत व त्यांना समान प्रतिष्ठा आहे.", Some("mr"));
        check("人人生而自由，在尊严和权利上一律平等。", Some("zh"));
        check("すべての人間は、生まれながらにして自由である。", Some("ja"));
        check("모든 인간은 태어날 때부터 자유롭다.", Some("ko"));
        check("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι.", Some("el"));
        check("כל בני האדם נולדו בני חורין.", Some("he"));
        check("மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.", Some("ta"));
        check("የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።", Some("am"));
        check("Human rights", Some("en"));
        check("Derechos humanos", Some("es"));
        // Hindi and Marathi have these words in common.
        check("सभी मनुष्यों को गौरव", None);
        check("Note verbale", None);
        check("A/RES/70/1", None);
        check("12.5 %", None);
        check("", None);
        check("…", None);
        check("OK", None);
    }

    #[test]
    fn codes_are_of_the_table() {
        let codes = detected();
        assert!(codes.len() > 50, "{}", codes.len());
        for code in codes.into_iter().filter(|code| *code != "dv") {
            assert_eq!(crate::text::known(code).map(|known| known.short), Some(code));
        }
    }
}
