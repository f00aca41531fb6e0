//! `cargo bench`: the CPU kernels by themselves. A product is measured three ways in the same run: by the project's
//! kernel, by the `gemm` crate under it, and as Burn's `matmul`. `examples/bench` measures whole attributions.

use burn::tensor::{Device, Distribution, Tensor};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use igsite::attribution::adaptive::{Integrator, Options, Value};
use igsite::kernel::attention::Attention;
use igsite::kernel::gemm::{Product, Right, View};
use igsite::kernel::matrix::{Code, Elements, Four, Half, quantize};
use igsite::kernel::norm::Norm;
use igsite::kernel::packed::{BlockType, Blocks, Codes, Groups};
use igsite::kernel::{Threads, activation};

fn main() {
    divan::main();
}

/// Rows × inputs × outputs of linear layers: a 25 M-parameter Llama's, and one of hidden size 2,048.
const SIZES: [(usize, usize, usize); 3] = [(405, 512, 1376), (405, 1376, 512), (405, 2048, 5504)];

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919) % 2003) as f32 / 1001.0 - 1.0).collect()
}

/// x wᵀ (`forward`) and x w (`backward`), on one thread. The counter is multiply-adds.
#[divan::bench_group(sample_count = 20)]
mod product {
    use super::*;

    fn own(bencher: Bencher, (m, k, n): (usize, usize, usize), turned: bool) {
        let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
        bencher.counter(ItemsCount::new(m * k * n)).bench_local(|| {
            let b = if turned {
                View::rows(&b, k).transposed()
            } else {
                View::rows(&b, n)
            };
            let (size, a, stride) = ((m, k, n), View::rows(&a, k), n);
            Product {
                size,
                a,
                b: b.into(),
                c: &mut c,
                stride,
                add: false,
            }
            .run(Threads::One);
        });
    }

    #[divan::bench(args = SIZES)]
    fn forward_own(bencher: Bencher, size: (usize, usize, usize)) {
        own(bencher, size, true);
    }

    #[divan::bench(args = SIZES)]
    fn backward_own(bencher: Bencher, size: (usize, usize, usize)) {
        own(bencher, size, false);
    }

    /// With a factor that is kept in another form, as a layer's weights may be: by the name of the form. `gptq-4` has
    /// groups of 128 with zero points.
    const FORMS: [&str; 11] = [
        "float32",
        "bfloat16",
        "float16",
        "nf4",
        "Q8_0",
        "Q4_K",
        "Q6_K",
        "MXFP4",
        "gptq-4",
        "gptq-4, act-order",
        "fp8",
    ];

    /// x wᵀ (`turned`) or x w with weights in a form.
    fn kept(bencher: Bencher, form: &str, turned: bool) {
        kept_by_rows(bencher, form, turned, SIZES[2].0);
    }

    fn kept_by_rows(bencher: Bencher, form: &str, turned: bool, m: usize) {
        let (_, k, n) = SIZES[2];
        let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
        let halves: Vec<u8> = b.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
        let shorts: Vec<u8> = b.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
        let (codes, scales) = quantize(b.len(), Code::Nf4, |range, to| to.copy_from_slice(&b[range]));
        let values = Code::Nf4.values();
        let width = if turned { k } else { n };
        // Any bytes are codes; scales of 2⁻¹¹ keep them small.
        let bytes: Vec<u8> = (0..b.len() * 2).map(|i| (i * 7919 % 251) as u8).collect();
        let few = vec![0.001f32; b.len().div_ceil(128)];
        let zeros: Vec<u8> = (0..few.len()).map(|i| (i % 16) as u8).collect();
        let columns: Vec<u32> = (0..width).map(|i| (i * 13 % (width / 128)) as u32).collect();
        let groups = |kind: Codes, zeros| {
            Elements::Groups(Groups {
                codes: &bytes[..kind.bytes(b.len())],
                kind,
                scales: &few,
                zeros,
                width,
                per_row: width / 128,
                group: 128,
                columns: form.ends_with("act-order").then_some(&columns[..]),
                first: 0,
            })
        };
        let mut blocks = vec![];
        let elements = match form {
            "nf4" => Elements::Four(Four {
                codes: &codes,
                scales: &scales,
                values: &values,
                first: 0,
            }),
            "bfloat16" => Elements::Halves(&halves, Half::Bf16),
            "float16" => Elements::Halves(&shorts, Half::F16),
            "gptq-4" | "gptq-4, act-order" => groups(Codes::Four, &zeros[..]),
            "fp8" => groups(Codes::E4m3, &[]),
            "float32" => Elements::Floats(&b),
            name => {
                let kind = BlockType::ALL.into_iter().find(|kind| kind.name() == name).unwrap();
                blocks.extend_from_slice(&bytes[..kind.size(b.len()).unwrap()]);
                let scales: &[usize] = match kind {
                    BlockType::Q8_0 => &[0],
                    BlockType::Q6_K => &[208],
                    BlockType::MXFP4 => &[],
                    _ => &[0, 2],
                };
                for block in blocks.chunks_mut(kind.bytes()) {
                    scales
                        .iter()
                        .for_each(|&at| block[at..at + 2].copy_from_slice(&[0, 0x10]));
                }
                Elements::Blocks(Blocks {
                    kind,
                    bytes: &blocks,
                    first: 0,
                })
            }
        };
        bencher.counter(ItemsCount::new(m * k * n)).bench_local(|| {
            let b = Right::rows(elements, width);
            Product {
                size: (m, k, n),
                a: View::rows(&a, k),
                b: if turned { b.transposed() } else { b },
                c: &mut c,
                stride: n,
                add: false,
            }
            .run(Threads::One);
        });
    }

    #[divan::bench(args = FORMS)]
    fn forward_kept(bencher: Bencher, form: &str) {
        kept(bencher, form, true);
    }

    #[divan::bench(args = FORMS)]
    fn backward_kept(bencher: Bencher, form: &str) {
        kept(bencher, form, false);
    }

    /// Of one text of 81 tokens, where expanding the weights is a larger part of the work.
    #[divan::bench(args = FORMS)]
    fn forward_kept_81(bencher: Bencher, form: &str) {
        kept_by_rows(bencher, form, true, 81);
    }

    fn crates(bencher: Bencher, (m, k, n): (usize, usize, usize), turned: bool) {
        let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0f32; m * n]);
        let (row, column) = if turned { (1, k as isize) } else { (n as isize, 1) };
        let (lhs_row, dst_row) = (k as isize, n as isize);
        bencher.counter(ItemsCount::new(m * k * n)).bench_local(|| {
            let (to, lhs, rhs) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
            let none = gemm::Parallelism::None;
            // SAFETY: all three matrices have the sizes that are said.
            unsafe {
                gemm::gemm(
                    m, n, k, to, 1, dst_row, false, lhs, 1, lhs_row, rhs, column, row, 0.0, 1.0, false, false, false,
                    none,
                );
            }
        });
    }

    #[divan::bench(args = SIZES)]
    fn forward_gemm_crate(bencher: Bencher, size: (usize, usize, usize)) {
        crates(bencher, size, true);
    }

    #[divan::bench(args = SIZES)]
    fn backward_gemm_crate(bencher: Bencher, size: (usize, usize, usize)) {
        crates(bencher, size, false);
    }

    /// On all threads.
    #[divan::bench(args = SIZES)]
    fn forward_burn(bencher: Bencher, (m, k, n): (usize, usize, usize)) {
        let random = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
        let (a, b) = (random([m, k]), random([n, k]));
        bencher
            .counter(ItemsCount::new(m * k * n))
            .bench_local(|| a.clone().matmul(b.clone().transpose()));
    }
}

/// Five sequences of 81 tokens, 8 heads of 64.
#[divan::bench_group(sample_count = 20)]
mod attention {
    use super::*;

    const LENGTHS: [usize; 5] = [81; 5];

    fn shape() -> Attention<'static> {
        Attention {
            sinks: None,
            slopes: None,
            query_heads: 8,
            key_heads: 8,
            width: 64,
            window: None,
            scale: None,
            cap: None,
            lengths: &LENGTHS,
            queries: &LENGTHS,
        }
    }

    #[divan::bench]
    fn forward(bencher: Bencher) {
        let x = numbers(405 * 512);
        let mut out = vec![0.0; x.len()];
        bencher.bench_local(|| shape().forward(&x, &x, &x, &mut out, Threads::One));
    }

    #[divan::bench]
    fn backward(bencher: Bencher) {
        let x = numbers(405 * 512);
        let [mut q, mut k, mut v] = [0; 3].map(|_| vec![0.0; x.len()]);
        bencher.bench_local(|| shape().backward(&x, [&x, &x, &x], [&mut q, &mut k, &mut v], 1.0, Threads::One));
    }
}

#[divan::bench_group(sample_count = 50)]
mod rows {
    use super::*;

    #[divan::bench]
    fn rms_norm_and_back(bencher: Bencher) {
        let (x, weight) = (numbers(405 * 512), numbers(512));
        let norm = Norm {
            weight: &weight,
            bias: None,
            epsilon: 1e-5,
        };
        let (mut out, mut into, mut moments) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![[0.0; 2]; 405]);
        bencher.bench_local(|| {
            norm.forward(&x, &mut out, &mut moments, Threads::One);
            norm.backward(&out, &x, &moments, &mut into, Threads::One);
        });
    }

    #[divan::bench]
    fn gate_and_back(bencher: Bencher) {
        let x = numbers(405 * 1376);
        let [mut out, mut gradient, mut other] = [0; 3].map(|_| x.clone());
        bencher.bench_local(|| {
            activation::gated(activation::Activation::Silu, &x, &x, &mut out, Threads::One);
            gradient.copy_from_slice(&out);
            activation::gated_backward(
                activation::Activation::Silu,
                &x,
                &x,
                &mut gradient,
                &mut other,
                Threads::One,
            );
        });
    }

    #[divan::bench]
    fn gelu_and_back(bencher: Bencher) {
        let x = numbers(405 * 2048);
        let (mut out, mut gradient) = (x.clone(), x.clone());
        bencher.bench_local(|| {
            activation::forward(activation::Activation::Gelu, &x, &mut out, Threads::One);
            gradient.copy_from_slice(&out);
            activation::backward(activation::Activation::Gelu, &x, &mut gradient, Threads::One);
        });
    }
}

/// On all threads; the counter is weights.
#[divan::bench(args = ["fp4", "nf4"], sample_count = 20)]
fn quantise(bencher: Bencher, code: &str) {
    let code = if code == "fp4" { Code::Fp4 } else { Code::Nf4 };
    let halves: Vec<u8> = numbers(4096 * 4096)
        .iter()
        .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
        .collect();
    let elements = Elements::Halves(&halves, Half::Bf16);
    bencher
        .counter(ItemsCount::new(elements.len()))
        .bench_local(|| quantize(elements.len(), code, |range, to| elements.expand(range.start, to)));
}

/// The adaptive rule's own work, with an integrand that costs nothing: features on many scales of α, 100 tokens.
#[divan::bench]
fn adaptive(bencher: Bencher) {
    let value = |alpha: f64| {
        let part = |t: usize| {
            let c = 10f64.powi(-(t as i32 % 12));
            let slope = 2.0 * alpha * c / (alpha * alpha + c).powi(2);
            (alpha * alpha / (alpha * alpha + c), slope)
        };
        let parts: Vec<(f64, f64)> = (0..100).map(part).collect();
        Value {
            output: parts.iter().map(|p| p.0).sum(),
            scores: parts.iter().map(|p| p.1).collect(),
            routes: vec![],
        }
    };
    bencher.bench_local(|| {
        let options = Options {
            start: 0.0,
            tolerance: 1e-4,
            max_evaluations: 4096,
            singular_start: true,
            output_rounding: 0.0,
            unit_roundoff: 0.0,
        };
        let mut integrator = Integrator::new(100, 0.0, value(1.0).output, options);
        while !integrator.wanted().is_empty() {
            let values = integrator.wanted().iter().map(|&alpha| value(alpha)).collect();
            integrator.feed(values);
        }
        black_box(integrator.result())
    });
}
