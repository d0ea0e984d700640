//! Short policy texts in eight languages, written for this project, with the
//! two things people ask of them: translate and summarise.

use rand_pcg::rand_core::Rng;

use super::{Content, Prompt, Turn, Workload, generator};

/// A text, and what to do with it.
struct Text {
    language: &'static str,
    name: &'static str,
    text: &'static str,
}

macro_rules! text {
    ($language:literal, $name:literal) => {
        Text {
            language: $language,
            name: $name,
            text: include_str!(concat!("policy/", $language, ".txt")),
        }
    };
}

const TEXTS: [Text; 8] = [
    text!("en", "English"),
    text!("fr", "French"),
    text!("es", "Spanish"),
    text!("ar", "Arabic"),
    text!("zh", "Chinese"),
    text!("ru", "Russian"),
    text!("sw", "Swahili"),
    text!("hi", "Hindi"),
];

/// The `policy` workload.
pub struct Policy {
    texts: Vec<&'static Text>,
    max_tokens: usize,
    chat: bool,
    /// Texts in a request; above 1 for embeddings only.
    batch: usize,
    /// The texts themselves, without a task: what is embedded.
    bare: bool,
    seed: u64,
}

impl Policy {
    /// All languages, or those named by their codes.
    ///
    /// # Errors
    /// There is no text in one of the languages.
    pub fn new(languages: &[String], max_tokens: usize, seed: u64) -> Result<Self, String> {
        let find = |code: &String| {
            TEXTS.iter().find(|t| t.language == code).ok_or_else(|| {
                let codes: Vec<&str> = TEXTS.iter().map(|t| t.language).collect();
                format!("there is no policy text in {code:?}; there is {}", codes.join(", "))
            })
        };
        let texts = match languages {
            [] => TEXTS.iter().collect(),
            some => some.iter().map(find).collect::<Result<_, _>>()?,
        };
        Ok(Self { texts, max_tokens, chat: true, batch: 1, bare: false, seed })
    }

    /// As plain text rather than as a conversation.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.chat = false;
        self
    }

    /// Paragraphs without a task, so many in a request.
    #[must_use]
    pub fn inputs(mut self, batch: usize) -> Self {
        (self.chat, self.bare, self.batch) = (false, true, batch.max(1));
        self
    }

    fn paragraph(&self, number: usize) -> String {
        let all: Vec<&str> = self.texts.iter().flat_map(|t| t.text.split("\n\n")).collect();
        all[number % all.len()].trim().to_owned()
    }

    /// Languages change with every request, the task when all had their turn.
    fn task(&self, number: usize, reference: u64) -> String {
        let text = self.texts[number % self.texts.len()];
        let target = if text.language == "en" { "French" } else { "English" };
        let order = match (number / self.texts.len()) % 2 {
            0 => format!("Translate this text from {} into {target}.", text.name),
            _ => format!("Summarise this {} text in {target}, in three sentences.", text.name),
        };
        // The number at the head makes every prompt one that no cache has seen.
        format!("Document {reference:06}. {order}\n\n{}", text.text.trim())
    }
}

impl Workload for Policy {
    fn prompt(&self, stream: u64, number: usize) -> Prompt {
        let reference = generator(self.seed, stream, number).next_u64() % 1_000_000;
        let content = if self.bare {
            Content::Texts(
                (0..self.batch).map(|i| self.paragraph(number * self.batch + i)).collect(),
            )
        } else if self.chat {
            Content::Chat(vec![Turn::user(self.task(number, reference))])
        } else {
            Content::Texts(vec![self.task(number, reference)])
        };
        Prompt { content, max_tokens: self.max_tokens, tokens: None }
    }

    fn describe(&self) -> String {
        let codes: Vec<&str> = self.texts.iter().map(|t| t.language).collect();
        let (what, answers) = match self.bare {
            true => ("paragraphs of", String::new()),
            false => {
                let answers = format!(", answers of up to {} tokens", self.max_tokens);
                ("translating and summarising", answers)
            }
        };
        format!("{what} policy texts in {}{answers}, seed {}", codes.join(", "), self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_paragraphs_in_its_script() {
        for text in &TEXTS {
            let paragraphs = text.text.trim().split("\n\n").count();
            assert!((2..=3).contains(&paragraphs), "{}: {paragraphs}", text.language);
            let in_script = |low: u32, high: u32| {
                text.text.chars().filter(|c| (low..=high).contains(&(*c as u32))).count()
            };
            let script = match text.language {
                "ar" => in_script(0x600, 0x6ff),
                "zh" => in_script(0x4e00, 0x9fff),
                "ru" => in_script(0x400, 0x4ff),
                "hi" => in_script(0x900, 0x97f),
                _ => in_script(0x41, 0x24f),
            };
            assert!(script * 10 > text.text.chars().count() * 7, "{}: {script}", text.language);
        }
    }

    #[test]
    fn prompts_take_turns_and_repeat() {
        let policy = Policy::new(&[], 100, 1).unwrap();
        assert!(policy.prompt(0, 0).text().contains("from English into French"));
        assert!(policy.prompt(0, 1).text().contains("from French into English"));
        assert!(policy.prompt(0, 8).text().contains("Summarise this English text in French"));
        assert_eq!(policy.prompt(0, 3), Policy::new(&[], 100, 1).unwrap().prompt(0, 3));
        assert_ne!(policy.prompt(0, 3), policy.prompt(1, 3));
        let swahili = Policy::new(&["sw".into()], 100, 1).unwrap();
        assert!(swahili.prompt(0, 5).text().contains("Swahili"));
        assert!(Policy::new(&["xx".into()], 100, 1).err().unwrap().contains("en, fr"));
        let inputs = Policy::new(&[], 1, 1).unwrap().inputs(4);
        assert_eq!(inputs.prompt(0, 2).inputs(), 4);
    }
}
