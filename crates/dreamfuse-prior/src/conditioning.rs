//! What a prior makes of texts, as others carry it about.

use burn::tensor::{Int, Tensor, TensorData};
use std::ops::Range;

/// A tensor whose first axis is the row.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// `[rows, width]`.
    Flat(Tensor<2>),
    /// `[rows, tokens, width]`.
    Tokens(Tensor<3>),
}

/// Does the same to a leaf of either rank.
macro_rules! each_rank {
    ($leaf:expr, $tensor:ident => $result:expr) => {
        match $leaf {
            Leaf::Flat($tensor) => Leaf::Flat($result),
            Leaf::Tokens($tensor) => Leaf::Tokens($result),
        }
    };
}

/// Texts as a prior reads them, a row a text: made once, used in every evaluation. Only the prior
/// that made it knows what the leaves mean.
#[derive(Clone, Debug, Default)]
pub struct Conditioning {
    leaves: Vec<Leaf>,
}

impl Conditioning {
    /// Of a prior that reads no text.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of tensors with as many rows each.
    ///
    /// # Panics
    /// When they have not.
    pub fn new(leaves: Vec<Leaf>) -> Self {
        let conditioning = Self { leaves };
        let rows = conditioning.rows();
        assert!(
            conditioning
                .leaves
                .iter()
                .all(|leaf| Some(leaf.rows()) == rows),
            "expected as many rows in each leaf"
        );
        conditioning
    }

    /// The tensors, for the prior that made them.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Texts; `None` for a prior that reads none, which fits a batch of any size.
    pub fn rows(&self) -> Option<usize> {
        self.leaves.first().map(Leaf::rows)
    }

    /// These rows, in this order; a row may come again.
    pub fn select(&self, rows: &[usize]) -> Self {
        self.map(|leaf| leaf.select(rows))
    }

    /// A range of the rows.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        self.map(|leaf| each_rank!(leaf, tensor => tensor.clone().slice_dim(0, rows.clone())))
    }

    /// The rows of several, one after the other.
    ///
    /// # Panics
    /// When there are none, or different priors made them.
    pub fn cat(parts: &[Self]) -> Self {
        let first = parts.first().expect("expected at least one part");
        let leaf = |index: usize| {
            let all = parts.iter().map(|part| &part.leaves[index]);
            match &first.leaves[index] {
                Leaf::Flat(_) => Leaf::Flat(Tensor::cat(all.map(Leaf::flat).collect(), 0)),
                Leaf::Tokens(_) => Leaf::Tokens(Tensor::cat(all.map(Leaf::tokens).collect(), 0)),
            }
        };
        Self {
            leaves: (0..first.leaves.len()).map(leaf).collect(),
        }
    }

    /// Between two texts: as if the weights, which sum to one, had blended them before the network
    /// read them, but for what it pools or normalises.
    ///
    /// # Panics
    /// When different priors made them.
    pub fn blend([(first, a), (second, b)]: [(&Self, f32); 2]) -> Self {
        let pairs = first.leaves.iter().zip(&second.leaves);
        Self {
            leaves: pairs
                .map(|(x, y)| match x {
                    Leaf::Flat(x) => Leaf::Flat(x.clone() * a + y.flat() * b),
                    Leaf::Tokens(x) => Leaf::Tokens(x.clone() * a + y.tokens() * b),
                })
                .collect(),
        }
    }

    fn map(&self, change: impl Fn(&Leaf) -> Leaf) -> Self {
        Self {
            leaves: self.leaves.iter().map(change).collect(),
        }
    }
}

impl Leaf {
    fn rows(&self) -> usize {
        match self {
            Self::Flat(tensor) => tensor.dims()[0],
            Self::Tokens(tensor) => tensor.dims()[0],
        }
    }

    fn select(&self, rows: &[usize]) -> Self {
        let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        each_rank!(self, tensor => {
            let count = rows.len();
            let indices = TensorData::new(rows, [count]);
            let indices = Tensor::<1, Int>::from_data(indices, &tensor.device());
            tensor.clone().select(0, indices)
        })
    }

    /// # Panics
    /// When it has tokens.
    pub fn flat(&self) -> Tensor<2> {
        match self {
            Self::Flat(tensor) => tensor.clone(),
            Self::Tokens(_) => panic!("expected a leaf without tokens"),
        }
    }

    /// # Panics
    /// When it has none.
    pub fn tokens(&self) -> Tensor<3> {
        match self {
            Self::Tokens(tensor) => tensor.clone(),
            Self::Flat(_) => panic!("expected a leaf with tokens"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Two leaves whose values are those of the rows.
    fn of(rows: &[f32]) -> Conditioning {
        let flat = TensorData::new(rows.to_vec(), [rows.len(), 1]);
        let flat = Tensor::<2>::from_data(flat, &Device::flex());
        let tokens = flat.clone().reshape([rows.len(), 1, 1]) * 10.0;
        Conditioning::new(vec![Leaf::Flat(flat), Leaf::Tokens(tokens)])
    }

    #[track_caller]
    fn assert_rows(conditioning: &Conditioning, expected: &[f32]) {
        let flat = conditioning.leaves()[0].flat().into_data();
        assert_eq!(flat.try_to_vec::<f32>().unwrap(), expected);
        let tokens = conditioning.leaves()[1].tokens().into_data();
        let tens: Vec<f32> = expected.iter().map(|value| 10.0 * value).collect();
        assert_eq!(tokens.try_to_vec::<f32>().unwrap(), tens);
        assert_eq!(conditioning.rows(), Some(expected.len()));
    }

    #[test]
    fn rows_are_selected_sliced_joined_and_blended() {
        let conditioning = of(&[1.0, 2.0, 3.0]);
        assert_rows(&conditioning.select(&[2, 0, 2]), &[3.0, 1.0, 3.0]);
        assert_rows(&conditioning.slice(1..3), &[2.0, 3.0]);
        assert_rows(
            &Conditioning::cat(&[of(&[4.0]), of(&[5.0, 6.0])]),
            &[4.0, 5.0, 6.0],
        );
        let blended = Conditioning::blend([(&of(&[4.0]), 0.25), (&of(&[8.0]), 0.75)]);
        assert_rows(&blended, &[7.0]);
        assert_eq!(Conditioning::cat(&[Conditioning::none()]).rows(), None);
    }

    #[test]
    #[should_panic(expected = "as many rows")]
    fn leaves_of_different_rows_are_refused() {
        let leaves = [of(&[1.0]), of(&[1.0, 2.0])];
        Conditioning::new(leaves.iter().map(|c| c.leaves()[0].clone()).collect());
    }
}
