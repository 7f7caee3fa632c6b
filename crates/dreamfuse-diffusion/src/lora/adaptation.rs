//! What is added to a weight.

use burn::store::bridge::{deferred, to_data};
use burn::store::burn_pack::{Error as PackError, Tensor as Packed};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use std::collections::BTreeMap;

/// How much of a product is added.
#[derive(Clone, Copy)]
pub(super) struct Strength {
    pub scale: f32,
    /// α / r where no tensor says α.
    pub without_alpha: f32,
}

/// A tensor of an adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Factor {
    /// A of LoRA's B A, which comes first.
    Down,
    Up,
    /// α, by which products are multiplied, divided by their rank.
    Alpha,
    /// The first and second product of LoHa, each from its left and right factor.
    HadamardLeft1,
    HadamardRight1,
    HadamardLeft2,
    HadamardRight2,
    /// A whole weight's difference.
    Difference,
    /// A bias's.
    BiasDifference,
}

#[derive(Clone, Default)]
pub(super) struct Adaptation {
    /// A key of the file, for errors.
    pub key: String,
    pub factors: BTreeMap<Factor, Packed>,
}

/// `left · right`, of two tensors that are matrices once all but their first axis are joined.
#[derive(Clone)]
struct Product {
    left: Packed,
    right: Packed,
}

/// How a difference is made.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Recipe {
    LowRank(Product),
    /// The element-wise product of two products.
    Hadamard([Product; 2]),
    Whole(Packed),
}

impl Adaptation {
    pub(super) fn changes_bias(&self) -> bool {
        self.factors.contains_key(&Factor::BiasDifference)
    }

    pub(super) fn changes_weight(&self) -> bool {
        self.factors
            .keys()
            .any(|factor| *factor != Factor::BiasDifference)
    }

    fn recipe(&self) -> Result<Recipe, String> {
        let factor = |factor: Factor| self.factors.get(&factor).cloned();
        let product = |left: Factor, right: Factor| match (factor(left), factor(right)) {
            (Some(left), Some(right)) => Ok(Product { left, right }),
            _ => Err("one of the two factors is missing".to_owned()),
        };
        let has = |wanted: Factor| self.factors.contains_key(&wanted);
        if let Some(whole) = factor(Factor::Difference) {
            return Ok(Recipe::Whole(whole));
        }
        if has(Factor::HadamardLeft1) || has(Factor::HadamardLeft2) {
            return Ok(Recipe::Hadamard([
                product(Factor::HadamardLeft1, Factor::HadamardRight1)?,
                product(Factor::HadamardLeft2, Factor::HadamardRight2)?,
            ]));
        }
        Ok(Recipe::LowRank(product(Factor::Up, Factor::Down)?))
    }

    /// The weight with the difference added, once it is asked for; a convolution's as the matrix that it is over
    /// patches.
    pub(super) fn merged(&self, weight: &Packed, strength: Strength) -> Result<Packed, String> {
        let recipe = self.recipe()?;
        recipe.check(weight)?;
        let alpha = self.factors.get(&Factor::Alpha).cloned();
        Ok(with_difference(weight, move || {
            let (difference, rank) = recipe.difference()?;
            let alpha = alpha.as_ref().map(values).transpose()?;
            let alpha = alpha.and_then(|alpha| alpha.first().copied());
            let factor = match (rank, alpha) {
                (Some(rank), Some(alpha)) => alpha / rank as f32,
                (Some(_), None) => strength.without_alpha,
                (None, _) => 1.0,
            };
            Ok(difference * (strength.scale * factor))
        }))
    }

    /// The same for its bias.
    pub(super) fn merged_bias(&self, bias: &Packed, strength: Strength) -> Result<Packed, String> {
        let recipe = Recipe::Whole(self.factors[&Factor::BiasDifference].clone());
        recipe.check(bias)?;
        Ok(with_difference(bias, move || {
            Ok(recipe.difference()?.0 * strength.scale)
        }))
    }
}

/// First axis, and all others joined.
fn matrix_shape(tensor: &Packed) -> [usize; 2] {
    let rows = tensor.shape.first().copied().unwrap_or(0);
    // A product that is none belongs to no weight: 0 fits nothing.
    let others = tensor.shape.iter().skip(1);
    let columns = others.copied().try_fold(1usize, usize::checked_mul);
    [rows, columns.unwrap_or(0)]
}

impl Product {
    /// Rows, the common axis and columns; the axis is 0 where the two do not fit together.
    fn shape(&self) -> [usize; 3] {
        let ([rows, inner], [rank, columns]) =
            (matrix_shape(&self.left), matrix_shape(&self.right));
        [rows, if inner == rank { rank } else { 0 }, columns]
    }

    fn value(&self) -> Result<Tensor<2>, PackError> {
        Ok(matrix(&self.left)?.matmul(matrix(&self.right)?))
    }
}

impl Recipe {
    fn check(&self, weight: &Packed) -> Result<(), String> {
        let [rows, columns] = matrix_shape(weight);
        let products = match self {
            Self::LowRank(product) => std::slice::from_ref(product),
            Self::Hadamard(products) => products,
            Self::Whole(tensor) if tensor.shape == weight.shape => return Ok(()),
            Self::Whole(tensor) => {
                let (found, expected) = (shown(&tensor.shape), shown(&weight.shape));
                return Err(format!("expected the shape {expected}, got {found}"));
            }
        };
        for product in products {
            let [left, rank, right] = product.shape();
            if rows == 0 || rank == 0 || [left, right] != [rows, columns] {
                return Err(format!(
                    "factors {} and {} do not make {}",
                    shown(&product.left.shape),
                    shown(&product.right.shape),
                    shown(&weight.shape)
                ));
            }
        }
        Ok(())
    }

    /// As a matrix, and the rank of what it is a product of.
    fn difference(&self) -> Result<(Tensor<2>, Option<usize>), PackError> {
        Ok(match self {
            Self::LowRank(product) => (product.value()?, Some(product.shape()[1])),
            Self::Hadamard([first, second]) => {
                (first.value()? * second.value()?, Some(first.shape()[1]))
            }
            Self::Whole(tensor) => (matrix(tensor)?, None),
        })
    }
}

fn shown(shape: &Shape) -> String {
    format!("{:?}", shape.as_slice())
}

fn with_difference(
    weight: &Packed,
    difference: impl Fn() -> Result<Tensor<2>, PackError> + Send + Sync + 'static,
) -> Packed {
    let (weight, shape) = (weight.clone(), weight.shape.clone());
    let name = weight.name.clone();
    deferred(name, DType::F32, shape.clone(), None, move || {
        let sum = matrix(&weight)? + difference()?;
        let values = sum
            .into_data()
            .try_to_vec::<f32>()
            .map_err(|e| PackError::ValidationError(format!("{e:?}")))?;
        Ok(TensorData::new(values, shape.clone()))
    })
}

fn matrix(tensor: &Packed) -> Result<Tensor<2>, PackError> {
    let shape = matrix_shape(tensor);
    Ok(Tensor::from_data(
        TensorData::new(values(tensor)?, shape),
        &Device::flex(),
    ))
}

fn values(tensor: &Packed) -> Result<Vec<f32>, PackError> {
    let data = to_data(tensor)?.convert_dtype(DType::F32);
    data.try_to_vec()
        .map_err(|e| PackError::ValidationError(format!("{e:?}")))
}
