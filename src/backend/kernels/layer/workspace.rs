//! Memory that layers use for what is between their operations.

use super::moe::Room;
use super::texts::Texts;
use crate::backend::kernels::attention::{Plan, Scratch};
use crate::backend::kernels::packed::{Activations, Inputs};
use crate::backend::kernels::team::Team;

/// Rows that every member prepares for itself.
const ALONE: usize = 2;

/// Grows to what the largest step needs and stays.
#[derive(Default)]
pub struct Workspace {
    /// Inputs of a layer's first products.
    pub(super) rows: Activations,
    /// Inputs of its last product.
    pub(super) second: Activations,
    pub(super) own: Vec<Own>,
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) v: Vec<f32>,
    /// What attention gives, or an MLP has inside.
    pub(super) hidden: Vec<f32>,
    /// What a norm is still to be applied to.
    pub(super) other: Vec<f32>,
    pub(super) plan: Plan,
    /// Of mixtures of experts.
    pub(super) experts: Room,
    /// Of encoders, whose threads take rows through the layer each by itself.
    pub(super) alone: Vec<Alone>,
    pub(super) texts: Texts,
}

/// What a member has for the rows that it takes through a layer alone.
// Apart from each other's: different threads write them.
#[repr(align(128))]
#[derive(Default)]
pub struct Alone {
    pub texts: TextRooms,
    pub block: BlockRooms,
}

/// For whole texts.
#[derive(Default)]
pub struct TextRooms {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub attended: Vec<f32>,
    pub scratch: Scratch,
}

/// For a block of rows.
#[derive(Default)]
pub struct BlockRooms {
    pub own: Own,
    pub first: Activations,
    pub second: Activations,
    pub hidden: Vec<f32>,
    pub other: Vec<f32>,
}

/// What a member has for itself.
#[derive(Default)]
pub struct Own {
    rows: Activations,
    line: Vec<f32>,
}

impl Workspace {
    /// Makes room for every member of a team.
    pub(super) fn fit(&mut self, team: &Team) {
        if self.own.len() < team.threads() {
            self.own.resize_with(team.threads(), Own::default);
            self.alone.resize_with(team.threads(), Alone::default);
        }
    }
}

/// The first `len` elements, made if they are not there.
pub(super) fn room(vec: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if vec.len() < len {
        vec.resize(len, 0.0);
    }
    &mut vec[..len]
}

impl Own {
    /// A line of so many numbers.
    pub(super) fn line(&mut self, len: usize) -> &mut [f32] {
        room(&mut self.line, len)
    }

    /// Inputs like `shared` where they are few, and a line as long as a row.
    pub(super) fn inputs(&mut self, shared: &Inputs<'_>) -> (Option<Inputs<'_>>, &mut [f32]) {
        let line = room(&mut self.line, shared.columns);
        let few = shared.rows <= ALONE;
        let inputs = few.then(|| self.rows.inputs(shared.rows, shared.columns, shared.wants()));
        (inputs, line)
    }
}
