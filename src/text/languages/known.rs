//! Languages by the tags that people and files write: `fr`, `FR`, `fr-CA`,
//! `zh-Hant`, `fra`, `ger`.

use super::table;

/// A language that has a row in our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLanguage {
    /// Two letters, ISO 639-1; `zt` for Chinese in traditional script.
    pub short: &'static str,
    /// In English.
    pub name: &'static str,
}

/// Codes of ISO 639-2/B, old codes of ISO 639-1, and macrolanguages, by the
/// two letters of our table.
const OTHERS: [(&str, &str); 27] = [
    ("alb", "sq"),
    ("arm", "hy"),
    ("baq", "eu"),
    ("bur", "my"),
    ("chi", "zh"),
    ("cze", "cs"),
    ("dut", "nl"),
    ("est", "et"),
    ("fre", "fr"),
    ("geo", "ka"),
    ("ger", "de"),
    ("gre", "el"),
    ("ice", "is"),
    ("in", "id"),
    ("iw", "he"),
    ("lav", "lv"),
    ("mac", "mk"),
    ("mao", "mi"),
    ("may", "ms"),
    ("no", "nb"),
    ("nor", "nb"),
    ("per", "fa"),
    ("rum", "ro"),
    ("slo", "sk"),
    ("swa", "sw"),
    ("tib", "bo"),
    ("wel", "cy"),
];

/// The language of a tag after BCP 47, of any case, or of a model's own code.
pub fn known(tag: &str) -> Option<KnownLanguage> {
    let row = |code: &str| {
        let code = OTHERS.iter().find(|(other, _)| *other == code).map_or(code, |(_, own)| own);
        table::find(code).map(|row| KnownLanguage { short: row.0, name: row.1 })
    };
    let tag = tag.to_ascii_lowercase().replace('_', "-");
    let mut parts = tag.split('-');
    let language = row(parts.next()?)?;
    let traditional =
        language.short == "zh" && parts.any(|p| ["hant", "tw", "hk", "mo"].contains(&p));
    match traditional {
        true => row("zt"),
        false => Some(language),
    }
}

#[cfg(test)]
mod tests {
    use super::known;

    #[test]
    fn tags_find_their_language() {
        let check = |tag: &str, expected: Option<&str>| {
            assert_eq!(known(tag).map(|language| language.short), expected, "{tag}");
        };
        check("fr", Some("fr"));
        check("FR", Some("fr"));
        check("fr-CA", Some("fr"));
        check("en_GB", Some("en"));
        check("fra_Latn", Some("fr"));
        check("ger", Some("de"));
        check("ZH-Hans", Some("zh"));
        check("zh-Hant", Some("zt"));
        check("zh_TW", Some("zt"));
        check("sr-Latn-RS", Some("sr"));
        check("no", Some("nb"));
        check("tlh", None);
        check("", None);
        check("-", None);
        assert_eq!(known("pt-BR").map(|language| language.name), Some("Portuguese"));
    }
}
