//! Languages by their codes: two letters as ISO 639-1 has them (`zt` is
//! LibreTranslate's), a name in English, NLLB's code, and where it differs from
//! that the ISO 639-3 code of OPUS-MT.

/// Two letters, a name, NLLB's code, another code of three letters.
pub type Row = (&'static str, &'static str, &'static str, &'static str);

/// By their two letters.
static ROWS: [Row; 118] = [
    ("af", "Afrikaans", "afr_Latn", "afr"),
    ("am", "Amharic", "amh_Ethi", "amh"),
    ("ar", "Arabic", "arb_Arab", "ara"),
    ("as", "Assamese", "asm_Beng", "asm"),
    ("az", "Azerbaijani", "azj_Latn", "aze"),
    ("be", "Belarusian", "bel_Cyrl", "bel"),
    ("bg", "Bulgarian", "bul_Cyrl", "bul"),
    ("bn", "Bengali", "ben_Beng", "ben"),
    ("bo", "Tibetan", "bod_Tibt", "bod"),
    ("bs", "Bosnian", "bos_Latn", "bos"),
    ("ca", "Catalan", "cat_Latn", "cat"),
    ("cs", "Czech", "ces_Latn", "ces"),
    ("cy", "Welsh", "cym_Latn", "cym"),
    ("da", "Danish", "dan_Latn", "dan"),
    ("de", "German", "deu_Latn", "deu"),
    ("el", "Greek", "ell_Grek", "ell"),
    ("en", "English", "eng_Latn", "eng"),
    ("eo", "Esperanto", "epo_Latn", "epo"),
    ("es", "Spanish", "spa_Latn", "spa"),
    ("et", "Estonian", "est_Latn", "est"),
    ("eu", "Basque", "eus_Latn", "eus"),
    ("fa", "Persian", "pes_Arab", "fas"),
    ("ff", "Fula", "fuv_Latn", "ful"),
    ("fi", "Finnish", "fin_Latn", "fin"),
    ("fo", "Faroese", "fao_Latn", "fao"),
    ("fr", "French", "fra_Latn", "fra"),
    ("ga", "Irish", "gle_Latn", "gle"),
    ("gd", "Scottish Gaelic", "gla_Latn", "gla"),
    ("gl", "Galician", "glg_Latn", "glg"),
    ("gn", "Guarani", "grn_Latn", "grn"),
    ("gu", "Gujarati", "guj_Gujr", "guj"),
    ("ha", "Hausa", "hau_Latn", "hau"),
    ("he", "Hebrew", "heb_Hebr", "heb"),
    ("hi", "Hindi", "hin_Deva", "hin"),
    ("hr", "Croatian", "hrv_Latn", "hrv"),
    ("ht", "Haitian Creole", "hat_Latn", "hat"),
    ("hu", "Hungarian", "hun_Latn", "hun"),
    ("hy", "Armenian", "hye_Armn", "hye"),
    ("id", "Indonesian", "ind_Latn", "ind"),
    ("ig", "Igbo", "ibo_Latn", "ibo"),
    ("is", "Icelandic", "isl_Latn", "isl"),
    ("it", "Italian", "ita_Latn", "ita"),
    ("ja", "Japanese", "jpn_Jpan", "jpn"),
    ("jv", "Javanese", "jav_Latn", "jav"),
    ("ka", "Georgian", "kat_Geor", "kat"),
    ("kk", "Kazakh", "kaz_Cyrl", "kaz"),
    ("km", "Khmer", "khm_Khmr", "khm"),
    ("kn", "Kannada", "kan_Knda", "kan"),
    ("ko", "Korean", "kor_Hang", "kor"),
    ("ku", "Kurdish", "kmr_Latn", "kur"),
    ("ky", "Kyrgyz", "kir_Cyrl", "kir"),
    ("lb", "Luxembourgish", "ltz_Latn", "ltz"),
    ("lg", "Ganda", "lug_Latn", "lug"),
    ("li", "Limburgish", "lim_Latn", "lim"),
    ("ln", "Lingala", "lin_Latn", "lin"),
    ("lo", "Lao", "lao_Laoo", "lao"),
    ("lt", "Lithuanian", "lit_Latn", "lit"),
    ("lv", "Latvian", "lvs_Latn", "lav"),
    ("mg", "Malagasy", "plt_Latn", "mlg"),
    ("mi", "Maori", "mri_Latn", "mri"),
    ("mk", "Macedonian", "mkd_Cyrl", "mkd"),
    ("ml", "Malayalam", "mal_Mlym", "mal"),
    ("mn", "Mongolian", "khk_Cyrl", "mon"),
    ("mr", "Marathi", "mar_Deva", "mar"),
    ("ms", "Malay", "zsm_Latn", "msa"),
    ("mt", "Maltese", "mlt_Latn", "mlt"),
    ("my", "Burmese", "mya_Mymr", "mya"),
    ("nb", "Norwegian Bokmål", "nob_Latn", "nob"),
    ("ne", "Nepali", "npi_Deva", "nep"),
    ("nl", "Dutch", "nld_Latn", "nld"),
    ("nn", "Norwegian Nynorsk", "nno_Latn", "nno"),
    ("ny", "Chichewa", "nya_Latn", "nya"),
    ("om", "Oromo", "gaz_Latn", "orm"),
    ("or", "Odia", "ory_Orya", "ori"),
    ("pa", "Punjabi", "pan_Guru", "pan"),
    ("pl", "Polish", "pol_Latn", "pol"),
    ("ps", "Pashto", "pbt_Arab", "pus"),
    ("pt", "Portuguese", "por_Latn", "por"),
    ("ro", "Romanian", "ron_Latn", "ron"),
    ("ru", "Russian", "rus_Cyrl", "rus"),
    ("rw", "Kinyarwanda", "kin_Latn", "kin"),
    ("sa", "Sanskrit", "san_Deva", "san"),
    ("sd", "Sindhi", "snd_Arab", "snd"),
    ("si", "Sinhala", "sin_Sinh", "sin"),
    ("sk", "Slovak", "slk_Latn", "slk"),
    ("sl", "Slovenian", "slv_Latn", "slv"),
    ("sm", "Samoan", "smo_Latn", "smo"),
    ("sn", "Shona", "sna_Latn", "sna"),
    ("so", "Somali", "som_Latn", "som"),
    ("sq", "Albanian", "als_Latn", "sqi"),
    ("sr", "Serbian", "srp_Cyrl", "srp"),
    ("st", "Southern Sotho", "sot_Latn", "sot"),
    ("su", "Sundanese", "sun_Latn", "sun"),
    ("sv", "Swedish", "swe_Latn", "swe"),
    ("sw", "Swahili", "swh_Latn", "swa"),
    ("ta", "Tamil", "tam_Taml", "tam"),
    ("te", "Telugu", "tel_Telu", "tel"),
    ("tg", "Tajik", "tgk_Cyrl", "tgk"),
    ("th", "Thai", "tha_Thai", "tha"),
    ("ti", "Tigrinya", "tir_Ethi", "tir"),
    ("tk", "Turkmen", "tuk_Latn", "tuk"),
    ("tl", "Tagalog", "tgl_Latn", "tgl"),
    ("tn", "Tswana", "tsn_Latn", "tsn"),
    ("tr", "Turkish", "tur_Latn", "tur"),
    ("ts", "Tsonga", "tso_Latn", "tso"),
    ("tt", "Tatar", "tat_Cyrl", "tat"),
    ("ug", "Uyghur", "uig_Arab", "uig"),
    ("uk", "Ukrainian", "ukr_Cyrl", "ukr"),
    ("ur", "Urdu", "urd_Arab", "urd"),
    ("uz", "Uzbek", "uzn_Latn", "uzb"),
    ("vi", "Vietnamese", "vie_Latn", "vie"),
    ("wo", "Wolof", "wol_Latn", "wol"),
    ("xh", "Xhosa", "xho_Latn", "xho"),
    ("yi", "Yiddish", "ydd_Hebr", "yid"),
    ("yo", "Yoruba", "yor_Latn", "yor"),
    ("zh", "Chinese (simplified)", "zho_Hans", "cmn"),
    ("zt", "Chinese (traditional)", "zho_Hant", "cmn_Hant"),
    ("zu", "Zulu", "zul_Latn", "zul"),
];

/// The language of a model's own code: of two letters, three, NLLB's, or with
/// a country after the two letters.
pub fn find(code: &str) -> Option<&'static Row> {
    let of = |wanted: &dyn Fn(&Row) -> bool| ROWS.iter().find(|row| wanted(row));
    of(&|row| row.0 == code || row.2 == code || row.3 == code)
        .or_else(|| of(&|row| code.len() == 3 && row.2.starts_with(code)))
        .or_else(|| of(&|row| code.strip_suffix("_XX") == Some(row.0)))
        .or_else(|| {
            // mBART-50 has a country for some.
            let (short, rest) = code.split_once('_')?;
            let country = rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_uppercase());
            of(&|row| country && row.0 == short)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once() {
        assert!(ROWS.is_sorted_by(|a, b| a.0 < b.0));
        for row in &ROWS {
            assert_eq!(find(row.0), Some(row));
            assert_eq!(find(row.2), Some(row));
        }
        for (code, short) in [
            ("fra", "fr"),
            ("arb", "ar"),
            ("ara", "ar"),
            ("cmn", "zh"),
            ("zho", "zh"),
            ("hi_IN", "hi"),
            ("sw_KE", "sw"),
            ("fr_XX", "fr"),
        ] {
            assert_eq!(find(code).map(|row| row.0), Some(short), "{code}");
        }
        assert!(find("kas_Deva").is_none() && find("fr_fr").is_none());
    }
}
