//! Rows of a tensor in a file: some of them, or in another order.

/// Some rows of a tensor, counted in equal pieces of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pieces {
    pub first: usize,
    pub count: usize,
    /// Pieces in all.
    pub of: usize,
}

impl Pieces {
    pub const ALL: Self = Self { first: 0, count: 1, of: 1 };

    /// Of the rows of q, k and v in one tensor, in this order, those of the
    /// first, second or third.
    pub fn of_qkv(which: usize, heads: usize, kv_heads: usize) -> Self {
        let of = heads + 2 * kv_heads;
        match which {
            0 => Self { first: 0, count: heads, of },
            _ => Self { first: heads + (which - 1) * kv_heads, count: kv_heads, of },
        }
    }

    /// Their bytes and shape; `None` where the tensor has no such pieces.
    pub fn cut<'a>(self, bytes: &'a [u8], shape: &[usize]) -> Option<(&'a [u8], Vec<usize>)> {
        let mut shape = shape.to_vec();
        if self != Self::ALL {
            let rows = shape.first_mut().filter(|rows| rows.is_multiple_of(self.of))?;
            *rows = *rows / self.of * self.count;
        }
        let len = bytes.len() / self.of;
        Some((bytes.get(self.first * len..(self.first + self.count) * len)?, shape))
    }
}

/// Piece `.0` of `.1`.
impl From<(usize, usize)> for Pieces {
    fn from((first, of): (usize, usize)) -> Self {
        Self { first, count: 1, of }
    }
}

/// Whether a tensor's rows are turned by positions, or multiplied with those
/// that are. `name` is GGUF's.
pub fn is_turned(name: &str) -> bool {
    let part = name.split('.').nth(2);
    part.is_some_and(|part| ["attn_q", "attn_k", "attn_q_norm", "attn_k_norm"].contains(&part))
}

/// The rows of a file that turns neighbours against each other, for a rotary
/// embedding that turns halves of a head: row `2j + s` of a head becomes row
/// `s · d/2 + j`. Reorders whole rows, so it works on blocks as on plain numbers;
/// a vector's rows are its numbers, and so are those of a norm with one row
/// a head. `None` where the rows are not those of heads.
pub fn in_halves(name: &str, bytes: &[u8], shape: &[usize], head_dim: usize) -> Option<Vec<u8>> {
    let rows = match name.contains("norm") {
        true => shape.iter().product(),
        false => *shape.first()?,
    };
    if rows == 0 || !rows.is_multiple_of(head_dim) || !head_dim.is_multiple_of(2) {
        return None;
    }
    let (row, half) = (bytes.len() / rows, head_dim / 2);
    let mut out = Vec::with_capacity(bytes.len());
    for head in 0..rows / head_dim {
        for s in 0..2 {
            for j in 0..half {
                let from = (head * head_dim + 2 * j + s) * row;
                out.extend_from_slice(bytes.get(from..from + row)?);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_put_back_in_order() {
        // Two heads of six rows of two bytes; the byte tells the row.
        let bytes: Vec<u8> = (0..12).flat_map(|r| [r, r]).collect();
        let expected = [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11];
        for (name, shape) in [("attn_q.weight", [12, 1]), ("attn_q_norm.weight", [2, 6])] {
            let rows = in_halves(name, &bytes, &shape, 6).unwrap();
            assert_eq!(rows.chunks(2).map(|c| c[0]).collect::<Vec<_>>(), expected);
        }
        for shape in [[11, 1], [0, 1]] {
            assert_eq!(in_halves("attn_q.weight", &bytes, &shape, 6), None);
        }
        assert!(is_turned("blk.0.attn_k.bias") && !is_turned("blk.0.attn_v.weight"));
    }

    #[test]
    fn pieces_are_cut() {
        // Four heads, one of keys, one of values, two rows each.
        let bytes: Vec<u8> = (0..12).collect();
        let cut = |pieces: Pieces| pieces.cut(&bytes, &[12, 1]).unwrap();
        assert_eq!(cut(Pieces::of_qkv(0, 4, 1)), (&bytes[..8], vec![8, 1]));
        assert_eq!(cut(Pieces::of_qkv(1, 4, 1)), (&bytes[8..10], vec![2, 1]));
        assert_eq!(cut(Pieces::of_qkv(2, 4, 1)), (&bytes[10..], vec![2, 1]));
        assert_eq!(cut((1, 2).into()), (&bytes[6..], vec![6, 1]));
        assert_eq!(cut(Pieces::ALL), (&bytes[..], vec![12, 1]));
        assert_eq!(Pieces::from((0, 5)).cut(&bytes, &[12, 1]), None);
        assert_eq!(Pieces::from((0, 2)).cut(&bytes, &[]), None);
    }
}
