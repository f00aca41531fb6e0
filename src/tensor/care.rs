//! Results of devices that may be wrong without a word: products and sums that can be told from what was never
//! computed, and that can be computed by kernels that no tuner chose.
//!
//! A product writes into a buffer that is filled with NaN before, so that what a kernel leaves out is seen where the
//! numbers are read: it reaches every number behind it. On a device of cubecl, [`Care::untuned`] computes products and
//! sums by the kernels that are chosen by rule and not by measurement: a tuner's choice may be a kernel that cannot
//! compute what it was not tuned for (burn#5352).
//!
//! The care is that of the thread, for the time of [`with`]: what stands above needs no word of it.

use std::cell::Cell;

use burn::tensor::{DType, Tensor, activation};

/// How a thread's tensor code treats its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Care {
    /// Buffers of products, and what is read back, are filled with NaN before they are written.
    pub checked: bool,
    /// Products and sums are computed by kernels that no tuner chose.
    pub untuned: bool,
    /// Products are computed by the simplest kernel there is, one thread a number: for processors that play a GPU, which
    /// take minutes to compile one in tiles.
    pub simple: bool,
}

thread_local! {
    static CARE: Cell<Care> = const {
        Cell::new(Care {
            checked: false,
            untuned: false,
            simple: false,
        })
    };
}

/// Runs tensor code with this care.
pub fn with<T>(care: Care, work: impl FnOnce() -> T) -> T {
    /// Takes it back, after a panic too.
    struct Before(Care);
    impl Drop for Before {
        fn drop(&mut self) {
            CARE.set(self.0);
        }
    }
    let _before = Before(CARE.replace(care));
    work()
}

/// The care of this thread.
pub fn now() -> Care {
    CARE.get()
}

/// a b, of the last two dimensions.
pub fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    #[cfg(test)]
    if let Some(out) = faults::product(&a, &b) {
        return out;
    }
    #[cfg(any(feature = "cuda", feature = "gpu"))]
    if (now().checked || now().simple) && cube::is_one(&a.device()) {
        return cube::product(a, b);
    }
    a.matmul(b)
}

/// Σ along a dimension, which stays, of length 1.
pub fn sum<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    #[cfg(any(feature = "cuda", feature = "gpu"))]
    if now().untuned && cube::is_one(&x.device()) {
        return cube::sum(x, dim);
    }
    x.sum_dim(dim)
}

/// The mean along a dimension, which stays, of length 1.
pub fn mean<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    if now().untuned {
        let count = x.dims()[dim] as f64;
        return sum(x, dim) / count;
    }
    x.mean_dim(dim)
}

/// The softmax along a dimension.
pub fn softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    if now().untuned {
        let powers = (x.clone() - largest(x, dim)).exp();
        return powers.clone() / sum(powers, dim);
    }
    activation::softmax(x, dim)
}

/// Its logarithm.
pub fn log_softmax<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    if now().untuned {
        let x = x.clone() - largest(x, dim);
        return x.clone() - sum(x.exp(), dim).log();
    }
    activation::log_softmax(x, dim)
}

fn largest<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    #[cfg(any(feature = "cuda", feature = "gpu"))]
    if cube::is_one(&x.device()) {
        return cube::largest(x, dim);
    }
    x.max_dim(dim)
}

/// The same numbers, in a buffer that was filled with NaN before: for what is read back.
pub fn landed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(test)]
    if let Some(out) = faults::landing(&x) {
        return out;
    }
    if !now().checked || x.dims().contains(&0) {
        return x;
    }
    let x = wide(x);
    let place = Tensor::<D>::full(x.dims(), f32::NAN, (&x.device(), x.dtype()));
    place.slice_assign(x.dims().map(|length| 0..length), x)
}

/// What moments, sums and softmaxes of a model's dtype are computed in: float32, or float64 itself.
pub fn wider(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// The same numbers in [`wider`].
pub fn wide<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = wider(x.dtype());
    x.cast(dtype)
}

/// The kernels of cubecl.
#[cfg(any(feature = "cuda", feature = "gpu"))]
mod cube {
    use burn::backend::cubecl::dtype_to_storage_type;
    use burn::backend::{Cube, DispatchDevice};
    use burn::tensor::{Device, Tensor};
    use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
    use burn_cubecl::kernel::reduce::{KernelReduceStrategy, reduce_dim};
    use burn_cubecl::tensor::CubeTensor;
    use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
    use cubek::matmul::launch::launch_ref;
    use cubek::matmul::multi_level;
    use cubek::matmul::strategy::Strategy;
    use cubek::reduce::components::instructions::ReduceOperationConfig;
    use cubek::std::InputBinding;

    pub fn is_one(device: &Device) -> bool {
        matches!(device.as_dispatch(), DispatchDevice::Cube(_))
    }

    fn primitive<const D: usize>(x: Tensor<D>) -> CubeTensor {
        x.try_into_primitive::<Cube>().expect("the device is one of cubecl's")
    }

    pub fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
        let dtype = a.dtype();
        let mut dims = a.dims();
        for (dim, of_b) in dims.iter_mut().zip(b.dims()).take(D - 2) {
            *dim = (*dim).max(of_b);
        }
        dims[D - 1] = b.dims()[D - 1];
        let place = Tensor::<D>::full(dims, f32::NAN, (&a.device(), dtype));
        if super::now().simple {
            return simple(primitive(a), primitive(b), primitive(place));
        }
        let strategy = match super::now().untuned {
            true => MatmulStrategy::Cube,
            false => MatmulStrategy::default(),
        };
        let out = matmul(primitive(a), primitive(b), Some(primitive(place)), strategy, dtype);
        Tensor::from_primitive::<Cube>(out.unwrap_or_else(|error| panic!("a product was refused: {error:?}")))
    }

    /// A product by the kernel in which each thread computes one number of `place`.
    fn simple<const D: usize>(a: CubeTensor, b: CubeTensor, place: CubeTensor) -> Tensor<D> {
        let element = dtype_to_storage_type(place.dtype);
        let mut elements = MatmulElems::from_globals(&MatmulGlobalElems {
            lhs: element,
            rhs: element,
            out: element,
        });
        let strategy = Strategy::MultiLevel(multi_level::Strategy::Naive);
        let [a, b] = [a, b].map(|side| InputBinding::new(side.binding(), element));
        let out = place.clone().binding();
        launch_ref(&strategy, &place.client, a, b, out, &mut elements)
            .unwrap_or_else(|error| panic!("a product was refused: {error:?}"));
        Tensor::from_primitive::<Cube>(place)
    }

    fn reduced<const D: usize>(x: Tensor<D>, dim: usize, operation: ReduceOperationConfig) -> Tensor<D> {
        let out = reduce_dim(primitive(x), None, dim, KernelReduceStrategy::Unspecified, operation);
        Tensor::from_primitive::<Cube>(out.unwrap_or_else(|error| panic!("a sum was refused: {error:?}")))
    }

    pub fn sum<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
        reduced(x, dim, ReduceOperationConfig::Sum)
    }

    pub fn largest<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
        reduced(x, dim, ReduceOperationConfig::Max)
    }
}

/// Faults for tests, such as devices were seen to have, of the products of this thread.
#[cfg(test)]
pub mod faults {
    use std::cell::RefCell;

    use burn::tensor::Tensor;

    /// What goes wrong.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fault {
        /// A product leaves its buffer as it was.
        Unwritten,
        /// What is read back was never written.
        NotLanded,
        /// A product is off by a few hundredths.
        Wrong,
        /// A product is not finite.
        Infinite,
        /// The device's thread panics, and all that is seen is a line of the log.
        Swallowed,
        /// A kernel panics.
        Panics,
    }

    struct Injected {
        fault: Fault,
        /// Only kernels that a tuner chose have it.
        only_tuned: bool,
        /// Products, or readings, before the first that has it, and how many have it.
        after: usize,
        times: usize,
    }

    thread_local! {
        static INJECTED: RefCell<Option<Injected>> = const { RefCell::new(None) };
    }

    /// Gives the products of this thread a fault, after so many that are right; `times` of them.
    pub fn inject(fault: Fault, only_tuned: bool, after: usize, times: usize) {
        INJECTED.replace(Some(Injected {
            fault,
            only_tuned,
            after,
            times,
        }));
    }

    /// Ends it.
    pub fn clear() {
        INJECTED.replace(None);
    }

    fn due(of: impl Fn(Fault) -> bool) -> Option<Fault> {
        INJECTED.with_borrow_mut(|injected| {
            let injected = injected.as_mut()?;
            if !of(injected.fault) || injected.only_tuned && super::now().untuned {
                return None;
            }
            if injected.after > 0 {
                injected.after -= 1;
                return None;
            }
            injected.times = injected.times.checked_sub(1)?;
            Some(injected.fault)
        })
    }

    pub(super) fn product<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> Option<Tensor<D>> {
        let fault = due(|fault| fault != Fault::NotLanded)?;
        let right = || a.clone().matmul(b.clone());
        Some(match fault {
            // What the buffer held before; without care, numbers of an earlier product.
            Fault::Unwritten if super::now().checked => right() * f32::NAN,
            Fault::Unwritten => right() * 0.0,
            Fault::Wrong => right() * 1.05,
            Fault::Infinite => right() * f32::INFINITY,
            Fault::Swallowed => {
                log::warn!(
                    target: "cubecl_common::device::handle::channel",
                    "Task failed: a fault of this test"
                );
                right()
            }
            Fault::Panics => panic!("Should run when selected by autotune."),
            Fault::NotLanded => unreachable!("filtered above"),
        })
    }

    pub(super) fn landing<const D: usize>(x: &Tensor<D>) -> Option<Tensor<D>> {
        due(|fault| fault == Fault::NotLanded)?;
        Some(if super::now().checked {
            x.clone() * f32::NAN
        } else {
            x.clone() * 0.0
        })
    }
}

/// On kernels of a GPU, hardware or software.
#[cfg(test)]
#[cfg(feature = "gpu")]
pub mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::model::device::{Backend, DeviceChoice};
    use crate::needs::{Need, found_or_skip};
    use crate::tensor::host::floats;

    /// The first device of Vulkan, hardware or software, or none with a printed reason.
    pub fn vulkan() -> Option<Device> {
        match Backend::open(&DeviceChoice::Vulkan(None)) {
            Ok(backend) => found_or_skip(Need::Vulkan, Some(backend.device), || unreachable!()),
            Err(error) => found_or_skip(Need::Vulkan, None, || error.to_string()),
        }
    }

    fn drawn<const D: usize>(dims: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
        let mut from = crate::random::SplitMix64::new(seed);
        let draw = |_| (from.next_u64() as f64 / u64::MAX as f64 - 0.5) as f32;
        let values: Vec<f32> = (0..dims.iter().product()).map(draw).collect();
        Tensor::from_data(TensorData::new(values, dims), device)
    }

    /// The largest difference, relative to the largest number.
    fn apart(found: &[f32], expected: &[f32]) -> f32 {
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        // What is not a number is the largest.
        differences.fold(0.0f32, |most, value| if value <= most { most } else { value }) / largest
    }

    #[test]
    fn products_and_sums_are_the_cpus_with_and_without_care() {
        let Some(device) = vulkan() else { return };
        let cpu = Device::flex();
        let care = |checked, untuned, simple| Care {
            checked,
            untuned,
            simple,
        };
        let cares = [
            care(false, false, false),
            care(true, false, false),
            care(true, true, false),
            care(true, false, true),
        ];
        for (m, k, n) in [(81, 64, 96), (7, 33, 65), (1, 16, 40)] {
            let of = |device: &Device| {
                let a = drawn([2, 3, m, k], 1, device);
                let b = drawn([2, 3, n, k], 2, device).transpose();
                let shared = drawn([1, 3, k, n], 3, device);
                let x = product(a.clone(), b);
                let parts = [
                    x.clone(),
                    product(a.clone(), shared),
                    sum(x.clone(), 3),
                    mean(x.clone(), 2),
                    softmax(x.clone(), 3),
                    log_softmax(x.clone(), 3),
                    landed(x),
                ];
                parts.map(floats)
            };
            let expected = of(&cpu);
            for care in cares {
                let found = with(care, || of(&device));
                for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let apart = apart(found, expected);
                    assert!(apart < 2e-5, "{m} {k} {n}, part {index}, {care:?}: {apart:.1e}");
                }
            }
        }
    }

    #[test]
    fn what_is_never_written_is_no_number_where_it_is_read_and_behind_it() {
        let Some(device) = vulkan() else { return };
        let place = Tensor::<2>::full([3, 5], f32::NAN, &device);
        assert!(
            floats(place.clone()).iter().all(|value| value.is_nan()),
            "the mark itself"
        );
        let behind = softmax(place.clone().matmul(drawn([5, 4], 1, &device)) + 1.0, 1);
        assert!(
            floats(behind).iter().all(|value| !value.is_finite()),
            "what follows from it"
        );
        let part = place.slice_assign([0..2, 0..5], drawn([2, 5], 1, &device));
        let part = floats(part);
        assert!(part[..10].iter().all(|value| value.is_finite()) && part[10..].iter().all(|value| value.is_nan()));
    }
}
