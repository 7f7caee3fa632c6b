//! R-Precision (Park et al. 2021): is the right caption the one that an image's embedding is nearest to?

/// Images of one scene and the number of its caption.
pub struct Query {
    pub caption: usize,
    /// Unit vectors.
    pub images: Vec<Vec<f32>>,
}

/// The share of images that find their own caption, the mean over queries of the mean over their images.
pub fn r_precision(queries: &[Query], captions: &[Vec<f32>]) -> f64 {
    let found = |image: &Vec<f32>, caption: usize| {
        let similarity = |text: &Vec<f32>| text.iter().zip(image).map(|(a, b)| a * b).sum::<f32>();
        let all = captions.iter().map(similarity).enumerate();
        all.max_by(|(_, a), (_, b)| a.total_cmp(b))
            .is_some_and(|(index, _)| index == caption)
    };
    let of = |query: &Query| {
        let count = query
            .images
            .iter()
            .filter(|image| found(image, query.caption))
            .count();
        count as f64 / query.images.len().max(1) as f64
    };
    queries.iter().map(of).sum::<f64>() / queries.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted_that_are_nearest_to_their_caption() {
        let captions = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![-1.0, 0.0]];
        let images = vec![vec![0.9, 0.4], vec![0.1, 0.99]];
        let query = |caption| Query {
            caption,
            images: images.clone(),
        };
        assert_eq!(r_precision(&[query(0)], &captions), 0.5);
        assert_eq!(r_precision(&[query(0), query(2)], &captions), 0.25);
    }
}
