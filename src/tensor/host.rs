//! Tensors in main memory, seen as slices.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Tensor};

/// The elements of a float32 tensor in main memory; cheap to clone.
#[derive(Clone, Debug)]
pub struct Host(Arc<FlexTensor>);

impl Host {
    /// None where the tensor lives elsewhere, or is of another dtype.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        if tensor.dtype() != DType::F32 {
            return None;
        }
        let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
        let tensor = if tensor.is_contiguous() {
            tensor
        } else {
            tensor.to_contiguous()
        };
        Some(Self(Arc::new(tensor)))
    }

    /// The tensor itself, not a copy.
    pub fn tensor<const D: usize>(&self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(FlexTensor::clone(&self.0))
    }

    /// Row by row.
    pub fn slice(&self) -> &[f32] {
        self.0.as_slice().expect("made contiguous and of float32 above")
    }
}

/// A tensor's elements as float32.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data_dtype(DType::F32)
        .try_to_vec()
        .expect("converted to float32 in this line")
}

/// A tensor's elements as float64.
pub fn doubles<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor
        .into_data_dtype(DType::F64)
        .try_to_vec()
        .expect("converted to float64 in this line")
}

/// A tensor in main memory.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let layout = Layout::contiguous(shape.into());
    Tensor::from_primitive::<Flex>(FlexTensor::new(Bytes::from_elems(values), layout, DType::F32))
}
