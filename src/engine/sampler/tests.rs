use super::*;

fn probabilities(logits: &[f32], temperature: f32) -> Vec<f64> {
    let w: Vec<f64> = logits.iter().map(|&l| f64::from(l / temperature).exp()).collect();
    let sum: f64 = w.iter().sum();
    w.into_iter().map(|x| x / sum).collect()
}

/// Draws often and compares frequencies by a chi-square bound.
fn check_distribution(params: SamplingParams, logits: &[f32], expected: &[f64]) {
    const DRAWS: usize = 20_000;
    let mut sampler = Sampler::new(params.clone(), 7, &[]);
    let mut counts = vec![0usize; logits.len()];
    for _ in 0..DRAWS {
        counts[sampler.sample(logits).unwrap() as usize] += 1;
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
    let all = SamplingParams { top_k: 4, top_p: 0.9, min_p: 0.5, ..base };
    check_distribution(all, &LOGITS, &renormalised(p, &[1, 3]));
}

#[test]
fn greedy_takes_the_highest_and_the_first_of_equals() {
    let greedy = SamplingParams { temperature: 0.0, ..Default::default() };
    let mut sampler = Sampler::new(greedy, 0, &[]);
    assert_eq!(sampler.sample(&LOGITS).unwrap(), 1);
    assert_eq!(sampler.sample(&[2.0, 5.0, 5.0]).unwrap(), 1);
    assert_eq!(sampler.sample(&[f32::NAN, 5.0, f32::NAN]).unwrap(), 1);
    assert!(sampler.sample(&[f32::NAN; 40]).is_err());
    assert!(sampler.sample(&[f32::NEG_INFINITY; 3]).is_err());
}

#[test]
fn a_seed_fixes_the_stream() {
    let params = SamplingParams::default();
    let draw = |seed| -> Vec<u32> {
        let mut s = Sampler::new(params.clone(), seed, &[]);
        (0..50).map(|_| s.sample(&LOGITS).unwrap()).collect()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn penalties_work_as_defined() {
    let greedy = |params: SamplingParams| SamplingParams { temperature: 0.0, ..params };
    // 3.0 / 1.6 < 2.0 and, being of the prompt, token 1 is penalised at once.
    let params = greedy(SamplingParams { repetition_penalty: 1.6, ..Default::default() });
    let mut s = Sampler::new(params, 0, &[1, 3]);
    assert_eq!(s.sample(&LOGITS).unwrap(), 5);
    // Presence counts once, frequency each time, and neither counts the prompt.
    let params = greedy(SamplingParams { presence_penalty: 0.6, ..Default::default() });
    let mut s = Sampler::new(params, 0, &[1]);
    let picks: Vec<u32> = (0..4).map(|_| s.sample(&LOGITS).unwrap()).collect();
    assert_eq!(picks, [1, 3, 1, 1]);
    let params = greedy(SamplingParams { frequency_penalty: 0.6, ..Default::default() });
    let mut s = Sampler::new(params, 0, &[1]);
    let picks: Vec<u32> = (0..4).map(|_| s.sample(&LOGITS).unwrap()).collect();
    assert_eq!(picks, [1, 3, 1, 5]);
}
