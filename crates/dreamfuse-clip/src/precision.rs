//! R-Precision (Park et al. 2021): is the right caption the one that a picture's embedding is nearest to?

/// Pictures of one scene and the number of its caption.
pub struct Query {
    pub caption: usize,
    /// Unit vectors.
    pub pictures: Vec<Vec<f32>>,
}

/// The share of pictures that find their own caption, the mean over queries of the mean over their pictures.
pub fn r_precision(queries: &[Query], captions: &[Vec<f32>]) -> f64 {
    let found = |picture: &Vec<f32>, caption: usize| {
        let similarity =
            |text: &Vec<f32>| text.iter().zip(picture).map(|(a, b)| a * b).sum::<f32>();
        let all = captions.iter().map(similarity).enumerate();
        all.max_by(|(_, a), (_, b)| a.total_cmp(b))
            .is_some_and(|(index, _)| index == caption)
    };
    let of = |query: &Query| {
        let count = query
            .pictures
            .iter()
            .filter(|picture| found(picture, query.caption))
            .count();
        count as f64 / query.pictures.len().max(1) as f64
    };
    queries.iter().map(of).sum::<f64>() / queries.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_that_are_nearest_to_their_caption() {
        let captions = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![-1.0, 0.0]];
        let pictures = vec![vec![0.9, 0.4], vec![0.1, 0.99]];
        let query = |caption| Query {
            caption,
            pictures: pictures.clone(),
        };
        assert_eq!(r_precision(&[query(0)], &captions), 0.5);
        assert_eq!(r_precision(&[query(0), query(2)], &captions), 0.25);
    }
}
