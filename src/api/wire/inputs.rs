//! Texts or token ids, the shape that several endpoints take.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::openapi::{Any, shaped};

/// One or many inputs, as text or as token ids: the `prompt` of completions
/// and the `input` of embeddings.
#[derive(Debug)]
pub enum Inputs {
    /// One or many texts.
    Texts { texts: Vec<String>, single: bool },
    /// One or many lists of token ids of this model.
    Tokens { lists: Vec<Vec<u32>>, single: bool },
}

shaped!(Inputs => Any<(String, Vec<String>, Vec<u32>, Vec<Vec<u32>>)>);

impl Inputs {
    pub fn len(&self) -> usize {
        match self {
            Self::Texts { texts, .. } => texts.len(),
            Self::Tokens { lists, .. } => lists.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of input `index` in an error: `prompt`, or `prompt[2]` in a list.
    pub fn name(&self, field: &str, index: usize) -> String {
        match self {
            Self::Texts { single: true, .. } | Self::Tokens { single: true, .. } => {
                field.to_owned()
            }
            _ => format!("{field}[{index}]"),
        }
    }
}

/// What the first item of an array says about all of them.
enum First {
    Text(String),
    Token(u32),
    Tokens(Vec<u32>),
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstVisitor;
        impl<'de> Visitor<'de> for FirstVisitor {
            type Value = First;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string, a token id or an array of token ids")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<First, E> {
                Ok(First::Text(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<First, E> {
                let id = u32::try_from(id);
                id.map(First::Token).map_err(|_| E::custom("the token id is too large"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<First, A::Error> {
                rest(Vec::new(), items).map(First::Tokens)
            }
        }
        deserializer.deserialize_any(FirstVisitor)
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputsVisitor;
        impl<'de> Visitor<'de> for InputsVisitor {
            type Value = Inputs;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string, an array of strings, or token ids")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Inputs, E> {
                Ok(Inputs::Texts { texts: vec![text.to_owned()], single: true })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inputs, A::Error> {
                Ok(match items.next_element()? {
                    None => Inputs::Texts { texts: Vec::new(), single: false },
                    Some(First::Text(text)) => {
                        Inputs::Texts { texts: rest(vec![text], items)?, single: false }
                    }
                    Some(First::Token(id)) => {
                        Inputs::Tokens { lists: vec![rest(vec![id], items)?], single: true }
                    }
                    Some(First::Tokens(ids)) => {
                        Inputs::Tokens { lists: rest(vec![ids], items)?, single: false }
                    }
                })
            }
        }
        deserializer.deserialize_any(InputsVisitor)
    }
}

fn rest<'de, A, T>(mut list: Vec<T>, mut items: A) -> Result<Vec<T>, A::Error>
where
    A: SeqAccess<'de>,
    T: Deserialize<'de>,
{
    while let Some(item) = items.next_element()? {
        list.push(item);
    }
    Ok(list)
}
