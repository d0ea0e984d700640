use proptest::prelude::*;

use super::*;
use crate::engine::request::Dry;

fn sampler(params: SamplingParams, seed: u64, prompt: &[u32]) -> Sampler {
    Sampler::new(params, seed, prompt, &|_| b"x")
}

/// Draws from `logits` and remembers the token.
fn next(sampler: &mut Sampler, logits: &[f32]) -> Result<u32, SampleError> {
    let token = sampler.sample(&[], logits, Allowed::default())?.token;
    sampler.observe(token, b"x");
    Ok(token)
}

fn probabilities(logits: &[f32], temperature: f32) -> Vec<f64> {
    let w: Vec<f64> = logits.iter().map(|&l| f64::from(l / temperature).exp()).collect();
    let sum: f64 = w.iter().sum();
    w.into_iter().map(|x| x / sum).collect()
}

/// Draws often and compares frequencies by a chi-square bound.
fn check_distribution(params: SamplingParams, logits: &[f32], expected: &[f64]) {
    const DRAWS: usize = 20_000;
    let mut sampler = sampler(params.clone(), 7, &[]);
    let mut counts = vec![0usize; logits.len()];
    for _ in 0..DRAWS {
        counts[next(&mut sampler, logits).unwrap() as usize] += 1;
    }
    let mut chi2 = 0.0;
    for (id, (&count, &p)) in counts.iter().zip(expected).enumerate() {
        if p == 0.0 {
            assert_eq!(count, 0, "{params:?} drew token {id}, which it excludes");
        } else {
            chi2 += (count as f64 - p * DRAWS as f64).powi(2) / (p * DRAWS as f64);
        }
    }
    // The 99.99 % point for up to 7 degrees of freedom.
    assert!(chi2 < 30.0, "{params:?}: chi-square {chi2}, counts {counts:?}");
}

const LOGITS: [f32; 8] = [1.0, 3.0, -2.0, 2.5, 0.0, 2.0, -1.0, f32::NEG_INFINITY];

fn renormalised(mut p: Vec<f64>, keep: &[usize]) -> Vec<f64> {
    for (i, x) in p.iter_mut().enumerate() {
        if !keep.contains(&i) {
            *x = 0.0;
        }
    }
    let sum: f64 = p.iter().sum();
    p.into_iter().map(|x| x / sum).collect()
}

#[test]
fn draws_follow_the_distribution_that_is_left() {
    let base = SamplingParams::default();
    let p = probabilities(&LOGITS, 1.0);
    check_distribution(base.clone(), &LOGITS, &p);
    let cold = SamplingParams { temperature: 0.5, ..base.clone() };
    check_distribution(cold, &LOGITS, &probabilities(&LOGITS, 0.5));
    let top_k = SamplingParams { top_k: 3, ..base.clone() };
    check_distribution(top_k, &LOGITS, &renormalised(p.clone(), &[1, 3, 5]));
    // 0.447 + 0.271 reach 0.7; the third would not be needed.
    let top_p = SamplingParams { top_p: 0.7, ..base.clone() };
    check_distribution(top_p, &LOGITS, &renormalised(p.clone(), &[1, 3]));
    let min_p = SamplingParams { min_p: 0.3, ..base.clone() };
    check_distribution(min_p, &LOGITS, &renormalised(p.clone(), &[1, 3, 5]));
    // Surprises 0.74, 1.24, 1.74 and more; 1.42 is expected, so 3 and 5 are the
    // closest, and 1 comes before 0.
    let typical = SamplingParams { typical_p: 0.4, ..base.clone() };
    check_distribution(typical, &LOGITS, &renormalised(p.clone(), &[3, 5]));
    let typical = SamplingParams { typical_p: 0.5, ..base.clone() };
    check_distribution(typical, &LOGITS, &renormalised(p.clone(), &[1, 3, 5]));
    let all = SamplingParams { top_k: 4, top_p: 0.9, min_p: 0.5, ..base };
    check_distribution(all, &LOGITS, &renormalised(p, &[1, 3]));
}

#[test]
fn greedy_takes_the_highest_and_the_first_of_equals() {
    let greedy = SamplingParams { temperature: 0.0, ..Default::default() };
    let mut sampler = sampler(greedy, 0, &[]);
    assert_eq!(next(&mut sampler, &LOGITS).unwrap(), 1);
    assert_eq!(next(&mut sampler, &[2.0, 5.0, 5.0]).unwrap(), 1);
    assert_eq!(next(&mut sampler, &[f32::NAN, 5.0, f32::NAN]).unwrap(), 1);
    assert!(next(&mut sampler, &[f32::NAN; 40]).is_err());
    assert!(next(&mut sampler, &[f32::NEG_INFINITY; 3]).is_err());
}

#[test]
fn a_seed_fixes_the_stream() {
    let params = SamplingParams::default();
    let draw = |seed| -> Vec<u32> {
        let mut s = sampler(params.clone(), seed, &[]);
        (0..50).map(|_| next(&mut s, &LOGITS).unwrap()).collect()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn penalties_work_as_defined() {
    let greedy = |params: SamplingParams| SamplingParams { temperature: 0.0, ..params };
    // 3.0 / 1.6 < 2.0 and, being of the prompt, token 1 is penalised at once.
    let params = greedy(SamplingParams { repetition_penalty: 1.6, ..Default::default() });
    let mut s = sampler(params, 0, &[1, 3]);
    assert_eq!(next(&mut s, &LOGITS).unwrap(), 5);
    // Presence counts once, frequency each time, and neither counts the prompt.
    let params = greedy(SamplingParams { presence_penalty: 0.6, ..Default::default() });
    let mut s = sampler(params, 0, &[1]);
    let picks: Vec<u32> = (0..4).map(|_| next(&mut s, &LOGITS).unwrap()).collect();
    assert_eq!(picks, [1, 3, 1, 1]);
    let params = greedy(SamplingParams { frequency_penalty: 0.6, ..Default::default() });
    let mut s = sampler(params, 0, &[1]);
    let picks: Vec<u32> = (0..4).map(|_| next(&mut s, &LOGITS).unwrap()).collect();
    assert_eq!(picks, [1, 3, 1, 5]);
}

#[test]
fn a_mask_and_a_ban_hold_whatever_else_is_asked() {
    let mut params = SamplingParams {
        logit_bias: vec![(1, 100.0), (5, -100.0), (2, 50.0)],
        presence_penalty: -2.0,
        ..Default::default()
    };
    for temperature in [0.0, 1.0] {
        params.temperature = temperature;
        let mut s = sampler(params.clone(), 3, &[1]);
        assert_eq!(next(&mut s, &LOGITS), Ok(1));
        // Tokens 2, 3, 5 and 40, of which there is no logit.
        let mask = [0b10_1100, 1 << 8];
        let allowed = Allowed { mask: Some(&mask), banned: &[] };
        assert_eq!(s.sample(&[], &LOGITS, allowed).unwrap().token, 2);
        let allowed = Allowed { banned: &[2], ..allowed };
        // Token 5 is biased away for good.
        assert_eq!(s.sample(&[], &LOGITS, allowed).unwrap().token, 3);
        let allowed = Allowed { banned: &[2, 3], ..allowed };
        assert_eq!(s.sample(&[], &LOGITS, allowed), Err(SampleError::NothingAllowed));
        // What the mask is too short for is not allowed.
        let allowed = Allowed { mask: Some(&[]), banned: &[] };
        assert_eq!(s.sample(&[], &LOGITS, allowed), Err(SampleError::NothingAllowed));
        assert_eq!(s.sample(&[], &[f32::NAN; 9], allowed), Err(SampleError::NotFinite));
    }
}

#[test]
fn dry_ends_a_loop() {
    let dry = Some(Dry { multiplier: 4.0, ..Dry::default() });
    let params = SamplingParams { temperature: 0.0, dry, ..Default::default() };
    let mut s = sampler(params, 0, &[]);
    let draw = |s: &mut Sampler, history: &[u32]| {
        s.sample(history, &LOGITS, Allowed::default()).unwrap().token
    };
    assert_eq!(draw(&mut s, &[1, 5, 1, 5]), 3, "1 would make it 1 5 1 5 1");
    assert_eq!(draw(&mut s, &[1, 5, 2, 5]), 1, "a passage of one is allowed");
}

#[test]
fn log_probabilities_are_the_models_own() {
    let params = SamplingParams {
        temperature: 0.3,
        top_k: 1,
        logit_bias: vec![(0, 100.0)],
        logprobs: Some(3),
        ..Default::default()
    };
    let mut s = sampler(params, 0, &[]);
    let drawn = s.sample(&[], &LOGITS, Allowed::default()).unwrap();
    assert_eq!(drawn.token, 0);
    let reported = drawn.logprob.unwrap();
    let expected = probabilities(&LOGITS, 1.0);
    let close = |a: f32, p: f64| (f64::from(a) - p.ln()).abs() < 1e-5;
    assert!(close(reported.logprob, expected[0]));
    assert_eq!(reported.top.iter().map(|t| t.0).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(reported.top.iter().all(|&(id, l)| close(l, expected[id as usize])));
}

/// The cuts by their definitions: sort everything, keep, renormalise.
fn by_definition(p: &SamplingParams, logits: &[f32]) -> Vec<(u32, f64)> {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let weight = |l: f32| (f64::from(l - max) / f64::from(p.temperature)).exp();
    let mut kept: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|&l| weight(l))).collect();
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if p.top_k > 0 {
        kept.truncate(p.top_k);
    }
    let normalise = |kept: &mut Vec<(u32, f64)>| {
        let sum: f64 = kept.iter().map(|k| k.1).sum();
        kept.iter_mut().for_each(|k| k.1 /= sum);
    };
    let reach = |kept: &mut Vec<(u32, f64)>, mass: f32| {
        let mut reached = 0.0;
        let len = kept
            .iter()
            .position(|k| {
                reached += k.1;
                reached >= f64::from(mass)
            })
            .map_or(kept.len(), |i| i + 1);
        kept.truncate(len);
    };
    normalise(&mut kept);
    if p.typical_p < 1.0 {
        let entropy: f64 = kept.iter().map(|k| -k.1 * k.1.ln()).sum();
        kept.sort_by(|a, b| {
            let distance = |k: &(u32, f64)| (-k.1.ln() - entropy).abs();
            distance(a).total_cmp(&distance(b)).then(a.0.cmp(&b.0))
        });
        reach(&mut kept, p.typical_p);
        kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        normalise(&mut kept);
    }
    if p.top_p < 1.0 {
        reach(&mut kept, p.top_p);
    }
    let best = kept[0].1;
    kept.retain(|k| k.1 >= best * f64::from(p.min_p));
    normalise(&mut kept);
    kept
}

proptest! {
    #[test]
    fn cuts_keep_what_their_definitions_keep(
        // Steps of a tenth: no two sums that round differently decide.
        logits in proptest::collection::vec((-40i32..40).prop_map(|l| l as f32 * 0.1), 1..200),
        top_k in prop_oneof![Just(0usize), 1usize..20],
        top_p in prop_oneof![Just(1.0f32), 0.05f32..0.999],
        typical_p in prop_oneof![Just(1.0f32), 0.05f32..0.999],
        min_p in prop_oneof![Just(0.0f32), 0.01f32..0.9],
        temperature in 0.3f32..1.8,
        uniform in 0.0f64..0.9999,
    ) {
        let p = SamplingParams { top_k, top_p, typical_p, min_p, temperature, ..Default::default() };
        let kept = by_definition(&p, &logits);
        let drawn = super::cuts::draw(&p, &logits, uniform, &mut Vec::new()).unwrap();
        let cut = top_k > 0 && top_k < logits.len() || top_p < 1.0 || typical_p < 1.0 || min_p > 0.0;
        let mut order = kept.clone();
        if !cut {
            order.sort_by_key(|k| k.0);
        }
        let mut reached = 0.0;
        let exact = order.iter().find(|k| { reached += k.1; reached > uniform });
        // Where rounding decides between two, either is right.
        let near = (reached - uniform).abs() < 1e-4
            || exact.is_some_and(|k| (uniform - (reached - k.1)).abs() < 1e-4);
        let edge = |mass: f32| mass < 1.0;
        if !near && !edge(top_p) && !edge(typical_p) && min_p == 0.0 {
            prop_assert_eq!(drawn, exact.unwrap().0);
        }
        // At an edge of a cut rounding may keep one more or one less.
        let least = kept.iter().map(|k| logits[k.0 as usize]).fold(f32::MAX, f32::min);
        let most = kept.iter().map(|k| logits[k.0 as usize]).fold(f32::MIN, f32::max);
        let l = logits[drawn as usize];
        prop_assert!((least - 0.11..=most + 0.11).contains(&l), "{l} {least} {most}");
    }
}
