//! The lists of prompts under `prompts/`.

/// The forty prompts of ToyBench.
pub fn toybench_prompts() -> Vec<String> {
    lines(include_str!("../../../prompts/toybench.txt"))
}

/// The six of them that make the daily version.
pub fn daily_prompts() -> Vec<String> {
    lines(include_str!("../../../prompts/toybench-6.txt"))
}

/// Forty sentences of the grammar by which choices are made, none of them ToyBench's or held out of
/// training.
pub fn validation_prompts() -> Vec<String> {
    lines(include_str!("../../../prompts/validation.txt"))
}

/// The captions that R-Precision tells apart: ToyBench's forty and 960 hard negatives.
pub(crate) fn pool_captions() -> Vec<String> {
    lines(include_str!("../../../prompts/toybench-pool.txt"))
}

/// The lines of a list without comments.
pub fn lines(list: &str) -> Vec<String> {
    list.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_toybox::{CaptionSampler, CaptionShares, parse};
    use std::collections::HashSet;

    #[test]
    fn validation_shares_nothing_with_what_is_evaluated_or_held_out() {
        let validation = validation_prompts();
        let distinct: HashSet<&String> = validation.iter().collect();
        assert_eq!((validation.len(), distinct.len()), (40, 40));
        let sampler = CaptionSampler::new(CaptionShares::default());
        let evaluated: Vec<_> = toybench_prompts()
            .iter()
            .map(|prompt| parse(prompt).unwrap())
            .collect();
        for prompt in &validation {
            let sentence = parse(prompt).unwrap();
            assert!(!sampler.is_held_out(&sentence), "{prompt}");
            assert!(!evaluated.contains(&sentence), "{prompt}");
        }
    }

    #[test]
    fn the_pool_has_a_thousand_captions_and_all_of_the_benchmark() {
        let pool = pool_captions();
        let distinct: HashSet<&String> = pool.iter().collect();
        assert_eq!((pool.len(), distinct.len()), (1000, 1000));
        assert_eq!(pool[..40], toybench_prompts());
        for caption in &pool {
            parse(caption).unwrap_or_else(|error| panic!("{caption}: {error}"));
        }
    }
}
