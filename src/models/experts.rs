//! Where files have the matrices of experts: each by itself, or those of all
//! experts of a layer as one tensor of three dimensions.

use std::ops::Range;

/// A matrix of an expert, as our decoder asks for it: `blk.3.ffn_gate.17.weight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertName<'a> {
    pub layer: &'a str,
    /// `ffn_gate`, `ffn_up` or `ffn_down`.
    pub part: &'a str,
    pub expert: usize,
}

impl<'a> ExpertName<'a> {
    /// `None` for other tensors.
    pub fn parse(name: &'a str) -> Option<Self> {
        let mut words = name.strip_prefix("blk.")?.strip_suffix(".weight")?.split('.');
        let (layer, part, expert) = (words.next()?, words.next()?, words.next()?);
        let known = ["ffn_gate", "ffn_up", "ffn_down"].contains(&part) && words.next().is_none();
        known.then_some(Self { layer, part, expert: expert.parse().ok()? })
    }

    /// Which half of a tensor that holds gate and up has it; `None` for down.
    pub fn half(self) -> Option<usize> {
        match self.part {
            "ffn_gate" => Some(0),
            "ffn_up" => Some(1),
            _ => None,
        }
    }
}

/// Bytes and shape of an expert's matrix in a tensor of (experts, rows,
/// columns), or of one half of its rows. `None` where it has none.
pub fn slice(
    shape: &[usize],
    bytes: usize,
    expert: usize,
    half: Option<usize>,
) -> Option<(Range<usize>, [usize; 2])> {
    let &[experts, rows, columns] = shape else { return None };
    if expert >= experts || !bytes.is_multiple_of(experts) {
        return None;
    }
    let len = bytes / experts;
    let begin = expert * len;
    match half {
        None => Some((begin..begin + len, [rows, columns])),
        Some(half) if rows.is_multiple_of(2) && len.is_multiple_of(2) => {
            let begin = begin + half * (len / 2);
            Some((begin..begin + len / 2, [rows / 2, columns]))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_experts() {
        let found = ExpertName::parse("blk.3.ffn_down.17.weight");
        assert_eq!(found, Some(ExpertName { layer: "3", part: "ffn_down", expert: 17 }));
        for other in
            ["blk.3.ffn_down.weight", "blk.3.attn_q.1.weight", "blk.3.ffn_up.x.weight", "output"]
        {
            assert_eq!(ExpertName::parse(other), None);
        }
    }

    #[test]
    fn slices_are_an_experts_rows() {
        // Three experts of four rows of two numbers of a byte.
        let shape = [3, 4, 2];
        assert_eq!(slice(&shape, 24, 1, None), Some((8..16, [4, 2])));
        assert_eq!(slice(&shape, 24, 2, Some(0)), Some((16..20, [2, 2])));
        assert_eq!(slice(&shape, 24, 2, Some(1)), Some((20..24, [2, 2])));
        for (shape, bytes, expert, half) in [
            (&[3, 4, 2][..], 24, 3, None),
            (&[3, 4, 2], 25, 0, None),
            (&[12, 2], 24, 0, None),
            (&[3, 3, 2], 18, 0, Some(1)),
            (&[0, 4, 2], 0, 0, None),
        ] {
            assert_eq!(slice(shape, bytes, expert, half), None, "{shape:?}");
        }
    }
}
