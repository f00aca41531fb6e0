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

    /// With a factor that is kept in another form, as a layer's weights may be: by the name of the form. Of five texts,
    /// and of one, where expanding the factor is a larger part of the work.
    #[divan::bench(args = FORMS, consts = [405, 81])]
    fn forward_kept<const ROWS: usize>(bencher: Bencher, form: &str) {
        kept(bencher, form, ROWS, true);
    }

    #[divan::bench(args = FORMS, consts = [405, 81])]
    fn backward_kept<const ROWS: usize>(bencher: Bencher, form: &str) {
        kept(bencher, form, ROWS, false);
    }

    const FORMS: [&str; 9] = [
        "float32",
        "bfloat16",
        "float16",
        "nf4",
        "Q4_K",
        "Q6_K",
        "Q8_0",
        "GPTQ",
        "GPTQ, act-order",
    ];

    /// Weights of a layer from 2,048 to 5,504, `[out, in]`.
    fn kept(bencher: Bencher, form: &str, m: usize, forward: bool) {
        let (_, inputs, outputs) = SIZES[2];
        let (k, n) = if forward { (inputs, outputs) } else { (outputs, inputs) };
        let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
        let bytes = |count: usize| (0..count).map(|i| (i * 31 % 251) as u8).collect::<Vec<u8>>();
        let block = match form {
            "Q4_K" => BlockType::Q4_K,
            "Q6_K" => BlockType::Q6_K,
            _ => BlockType::Q8_0,
        };
        let blocks = bytes(block.size(b.len()).expect("whole blocks"));
        // Groups of 128 with zero points.
        let groups = b.len() / 128;
        let (fours, group_scales, zeros) = (bytes(b.len() / 2), vec![0.01; groups], vec![7; groups]);
        let columns: Vec<u32> = (0..inputs).map(|i| (i * 13 % (inputs / 128)) as u32).collect();
        let halves: Vec<u8> = b.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
        let shorts: Vec<u8> = b.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
        let (codes, scales) = quantize(b.len(), Code::Nf4, |range, to| to.copy_from_slice(&b[range]));
        let values = Code::Nf4.values();
        let elements = match form {
            "nf4" => Elements::Four(Four {
                codes: &codes,
                scales: &scales,
                values: &values,
                first: 0,
            }),
            "bfloat16" => Elements::Halves(&halves, Half::Bf16),
            "float16" => Elements::Halves(&shorts, Half::F16),
            "float32" => Elements::Floats(&b),
            form if form.starts_with("GPTQ") => Elements::Groups(Groups {
                codes: &fours,
                kind: Codes::Four,
                scales: &group_scales,
                zeros: &zeros,
                width: inputs,
                per_row: inputs / 128,
                group: 128,
                columns: form.ends_with("act-order").then_some(&columns),
                first: 0,
            }),
            _ => Elements::Blocks(Blocks {
                kind: block,
                bytes: &blocks,
                first: 0,
            }),
        };
        let right = Right::rows(elements, inputs);
        let right = if forward { right.transposed() } else { right };
        bencher.counter(ItemsCount::new(m * k * n)).bench_local(|| {
            Product {
                size: (m, k, n),
                a: View::rows(&a, k),
                b: right,
                c: &mut c,
                stride: n,
                add: false,
            }
            .run(Threads::One);
        });
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
            last: false,
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
        bencher.bench_local(|| shape().backward(&x, [&x, &x, &x], [&mut q, &mut k, &mut v], Threads::One));
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
        }
    };
    bencher.bench_local(|| {
        let options = Options {
            start: 0.0,
            tolerance: 1e-4,
            max_evaluations: 4096,
            singular_start: true,
            output_rounding: 0.0,
        };
        let mut integrator = Integrator::new(100, 0.0, value(1.0).output, options);
        while !integrator.wanted().is_empty() {
            let values = integrator.wanted().iter().map(|&alpha| value(alpha)).collect();
            integrator.feed(values);
        }
        black_box(integrator.result())
    });
}
