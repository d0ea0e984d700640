//! A layer of experts, of which each row takes a few.
//!
//! Rows are normed and quantized once; an expert's rows are copied together,
//! so that it multiplies them as if they were a batch of their own, and what
//! nobody chose is not read. A row's results are added in the order of its own
//! choices: nothing of it depends on the rows beside it.

use std::ops::Range;

use super::routing::{Choice, Routing, Slots};
use super::workspace::{Workspace, room};
use super::{LinearView, Norms, norm_sums};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::norm::normalize;
use crate::backend::kernels::packed::{
    Activations, Inputs, TILE, Wants, best_level, product, product_of_pair, products,
};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::{Member, Parts, team};
use crate::backend::ops::Activation;

/// Rows below which a tile takes as long to read as to multiply.
const FEW: usize = 4;

/// `down(act(gate(x)) * up(x))`
#[derive(Clone, Copy)]
pub struct ExpertView<'a> {
    pub gate: LinearView<'a>,
    pub up: LinearView<'a>,
    pub down: LinearView<'a>,
}

impl ExpertView<'_> {
    /// The forms of rows that its first and its last matrices take.
    pub fn wants(&self) -> [Wants; 2] {
        [Wants::of([self.gate.weight, self.up.weight]), Wants::of([self.down.weight])]
    }
}

/// `x + Σ weight * expert(x)` over the experts of a row, with the norms around it.
#[derive(Clone, Copy)]
pub struct MoeView<'a> {
    pub norms: Norms<'a>,
    /// One logit for each expert.
    pub router: LinearView<'a>,
    pub routing: Routing,
    /// All of the same shape.
    pub experts: &'a (dyn Fn(usize) -> ExpertView<'a> + Sync),
    /// The forms of rows that they take.
    pub wants: [Wants; 2],
    /// Rows of their first matrices.
    pub inner: usize,
    /// An expert of all rows, and the logit that says how much it counts.
    pub shared: Option<(ExpertView<'a>, LinearView<'a>)>,
    pub activation: Activation,
}

/// Memory of these layers alone; see [`Workspace`].
#[derive(Default)]
pub struct Room {
    logits: Vec<f32>,
    choices: Vec<Choice>,
    slots: Slots,
    /// What each row's shared expert counts.
    shares: Vec<f32>,
    /// Inputs of experts, by slot.
    gathered: Activations,
    /// Results of experts, by slot.
    results: Vec<f32>,
    shared: Activations,
    shared_hidden: Vec<f32>,
    shared_results: Vec<f32>,
}

/// One expert and its rows, in all that it reads and writes.
#[derive(Clone, Copy)]
struct Job<'a> {
    expert: ExpertView<'a>,
    inputs: Inputs<'a>,
    hidden: Rows<'a>,
    second: Inputs<'a>,
    results: Rows<'a>,
}

/// Applies the layer to `x`, rows of the model's width.
pub fn moe(layer: &MoeView<'_>, x: &mut [f32], workspace: &mut Workspace) {
    let MoeView { norms, router, routing, wants, inner, shared, activation, .. } = *layer;
    let (width, count) = (router.weight.columns(), router.weight.rows());
    let rows = x.len() / width;
    if rows == 0 {
        return;
    }
    let (team, level) = (team(), best_level());
    workspace.fit(team);
    let Workspace { rows: inputs, second, own, hidden, other, experts: own_room, .. } = workspace;
    let Room { slots, choices, .. } = own_room;
    let x = Rows::new(x, width);

    // Norms, forms of the rows, and who takes which.
    let routers = [Some(router), shared.map(|(_, gate)| gate)];
    let mut all = Wants::of(routers.iter().flatten().map(|r| r.weight)).with(wants[0]);
    if let Some((expert, _)) = &shared {
        all = all.with(expert.wants()[0]);
    }
    let a = inputs.inputs(rows, width, all);
    let logits = Rows::new(room(&mut own_room.logits, rows * count), count);
    let shares = Rows::new(room(&mut own_room.shares, rows), 1);
    choices.resize(rows * routing.chosen, Choice::default());
    let chosen = Parts::new(choices);
    let own = Parts::new(own);
    team.run(|member| {
        let me = member.index();
        // SAFETY: each member has its own; rows and columns are shared out, and
        // the team meets between writing and reading.
        unsafe {
            let line = own.write(me..me + 1)[0].line(width);
            for r in member.share(rows) {
                match norms.before {
                    Some(norm) => {
                        normalize(norm, x.read(r), line);
                        a.set(r, line);
                    }
                    None => a.set(r, x.read(r)),
                }
            }
            member.meet();
            for (router, to) in routers.iter().zip([logits, shares]) {
                let Some(router) = router else { continue };
                products(member, &[router.weight], &a, level, |_, piece| {
                    piece.store(router.bias, to);
                });
            }
            member.meet();
            for r in member.share(rows) {
                let k = routing.chosen;
                routing.choose(logits.read(r), chosen.write(r * k..(r + 1) * k));
                let share = &mut shares.write(r, 0, 1)[0];
                *share = 1.0 / (1.0 + (-*share).exp());
            }
        }
    });

    slots.sort(choices, routing.chosen, count);
    let (slots, choices) = (&*slots, &*choices);
    let all = choices.len();
    // All experts of a single row read the same.
    let gathered = (rows > 1).then(|| own_room.gathered.inputs(all, width, wants[0]));
    let hidden = Rows::new(room(hidden, all * inner), inner);
    let second = second.inputs(all, inner, wants[1]);
    let results = Rows::new(room(&mut own_room.results, all * width), width);
    let other = Rows::new(room(other, rows * width), width);
    let shared = shared.map(|(expert, _)| {
        let inner = expert.up.weight.rows();
        Job {
            expert,
            inputs: a,
            hidden: Rows::new(room(&mut own_room.shared_hidden, rows * inner), inner),
            second: own_room.shared.inputs(rows, inner, expert.wants()[1]),
            results: Rows::new(room(&mut own_room.shared_results, rows * width), width),
        }
    });
    let job = |i: usize| match slots.experts.get(i) {
        Some((number, mine)) => Some(Job {
            expert: (layer.experts)(*number),
            inputs: gathered.map_or(a, |inputs| inputs.part(mine.clone())),
            hidden: hidden.part(mine.clone()),
            second: second.part(mine.clone()),
            results: results.part(mine.clone()),
        }),
        None => shared,
    };
    // Rows of each job, in the order of jobs.
    let sizes = || {
        let chosen = slots.experts.iter().map(|(_, mine)| mine.len());
        chosen.chain(shared.is_some().then_some(rows))
    };
    // Tiles of each job with what one costs, where tiles are of these sizes.
    let costs = |ours: [usize; 2], theirs: [usize; 2]| {
        sizes().enumerate().map(move |(i, rows)| {
            let [tiles, columns] = if i < slots.experts.len() { ours } else { theirs };
            (tiles, columns * rows.max(FEW))
        })
    };
    let other_inner = shared.as_ref().map_or(0, |job| job.hidden.width());
    let tiles = |rows: usize| rows.div_ceil(TILE);
    team.run(|member| {
        // SAFETY: slots, rows and tiles are shared out, and the team meets
        // between writing and reading.
        unsafe {
            if let Some(gathered) = gathered {
                let sizes = slots.experts.iter().map(|(_, mine)| mine.len());
                for (i, some) in overlaps(sizes, member.share(all)) {
                    let mine = slots.experts[i].1.clone();
                    let part = gathered.part(mine.clone());
                    some.for_each(|r| part.copy(r, &a, slots.rows[mine.start + r] as usize));
                }
                member.meet();
            }
            let first = costs([tiles(inner), width], [tiles(other_inner), width]);
            for (i, tiles) in balanced(member, first) {
                let Some(Job { expert, inputs, hidden, .. }) = job(i) else { continue };
                let (gate, up) = (expert.gate, expert.up);
                product_of_pair((gate.weight, up.weight), tiles, &inputs, level, |piece| {
                    piece.gate(activation, [gate.bias, up.bias]);
                    piece.store(None, hidden);
                });
            }
            member.meet();
            let total = sizes().sum();
            for (i, some) in overlaps(sizes(), member.share(total)) {
                let Some(Job { hidden, second, .. }) = job(i) else { continue };
                some.for_each(|r| second.set(r, hidden.read(r)));
            }
            member.meet();
            let last = costs([tiles(width), inner], [tiles(width), other_inner]);
            for (i, tiles) in balanced(member, last) {
                let Some(Job { expert, second, results, .. }) = job(i) else { continue };
                let down = expert.down;
                product(down.weight, tiles, &second, level, |piece| {
                    piece.store(down.bias, results);
                });
            }
            member.meet();
            let mine = member.share(tiles(width));
            let (from, to) = (mine.start * TILE, (mine.end * TILE).min(width));
            let to_add = norms.after.map(|_| other);
            for r in 0..rows {
                let sum = to_add.unwrap_or(x).write(r, from, to - from);
                if to_add.is_some() {
                    sum.fill(0.0);
                }
                for i in r * routing.chosen..(r + 1) * routing.chosen {
                    let result = results.read(slots.of_choice[i] as usize);
                    add_weighted(sum, &result[from..to], choices[i].weight);
                }
                if let Some(shared) = &shared {
                    add_weighted(sum, &shared.results.read(r)[from..to], shares.read(r)[0]);
                }
            }
            norm_sums(member, norms, (x, other));
        }
    });
}

/// The parts of `range` in things that stand in a row and are so long, each
/// with its number.
fn overlaps(
    sizes: impl Iterator<Item = usize>,
    range: Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut end = 0;
    let parts = sizes.enumerate().map(move |(i, size)| {
        let begin = end;
        end += size;
        (i, range.start.clamp(begin, end) - begin..range.end.clamp(begin, end) - begin)
    });
    parts.filter(|(_, part)| !part.is_empty())
}

/// This member's part of jobs that have so many tiles of such a cost: in
/// order, and about as dear as the parts of the others.
fn balanced(
    member: &Member<'_>,
    jobs: impl Iterator<Item = (usize, usize)> + Clone,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let total: usize = jobs.clone().map(|(tiles, cost)| tiles * cost).sum();
    let Range { start, end } = member.share(total);
    let mut begin = 0;
    let parts = jobs.enumerate().map(move |(i, (tiles, cost))| {
        // The tiles that begin in this member's share.
        let first = |at: usize| at.saturating_sub(begin).div_ceil(cost.max(1)).min(tiles);
        let part = first(start)..first(end);
        begin += tiles * cost;
        (i, part)
    });
    parts.filter(|(_, part)| !part.is_empty())
}

multiversion!(
    /// `sum += weight * x`
    fn add_weighted(sum: &mut [f32], x: &[f32], weight: f32) = add_weighted_body
);

#[inline(always)]
fn add_weighted_body(sum: &mut [f32], x: &[f32], weight: f32) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += weight * x);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::backend::kernels::team::Team;

    #[test]
    fn every_tile_is_somebodys_and_shares_cost_the_same() {
        for threads in [1, 2, 3, 7] {
            let team = Team::new(threads);
            for jobs in [vec![(48, 8)], vec![(3, 5), (0, 4), (7, 1), (1, 90), (20, 2)], vec![]] {
                let found = Mutex::new(Vec::new());
                team.run(|member| {
                    let mine: Vec<_> = balanced(member, jobs.iter().copied()).collect();
                    let cost: usize = mine.iter().map(|(i, tiles)| tiles.len() * jobs[*i].1).sum();
                    found.lock().unwrap().push((member.index(), mine, cost));
                });
                let mut found = found.into_inner().unwrap();
                found.sort_by_key(|f| f.0);
                let tiles = found.iter().flat_map(|f| f.1.clone());
                let tiles: Vec<_> = tiles.flat_map(|(i, some)| some.map(move |t| (i, t))).collect();
                let all = jobs.iter().enumerate().flat_map(|(i, j)| (0..j.0).map(move |t| (i, t)));
                assert!(tiles.into_iter().eq(all), "{threads} {jobs:?}: {found:?}");
                let total: usize = jobs.iter().map(|j| j.0 * j.1).sum();
                let dearest = jobs.iter().map(|j| j.1).max().unwrap_or(0);
                for (_, _, cost) in found {
                    assert!(cost <= total / threads + dearest + 1, "{threads} {jobs:?}");
                }
            }
        }
    }

    #[test]
    fn ranges_are_cut_at_the_ends_of_things() {
        let parts = |range| overlaps([3, 0, 2, 4].into_iter(), range).collect::<Vec<_>>();
        assert_eq!(parts(0..9), [(0, 0..3), (2, 0..2), (3, 0..4)]);
        assert_eq!(parts(2..6), [(0, 2..3), (2, 0..2), (3, 0..1)]);
        assert_eq!(parts(4..4), []);
    }
}
