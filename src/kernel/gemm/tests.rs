use super::*;
use crate::kernel::matrix::{Code, Four, quantize};
use crate::kernel::packed::{BlockType, Blocks};
use proptest::prelude::*;

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0)
        .collect()
}

fn check(size: (usize, usize, usize), transposed: (bool, bool), add: bool, threads: Threads, portable: bool) {
    let (m, k, n) = size;
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let stride = n + 3;
    let before = numbers(m * stride, 3);
    let mut c = before.clone();
    let view = |data, rows: usize, columns: usize, transposed| match transposed {
        false => View::rows(data, columns),
        true => View::rows(data, rows).transposed(),
    };
    let (av, bv) = (view(&a, m, k, transposed.0), view(&b, k, n, transposed.1));
    let product = Product {
        size,
        a: av,
        b: bv.into(),
        c: &mut c,
        stride,
        add,
    };
    if portable {
        product.portable(threads);
    } else {
        product.run(threads);
    }
    for i in 0..m {
        for j in 0..stride {
            let place = i * stride + j;
            if j >= n {
                assert_eq!(c[place], before[place], "written beyond the edge at {i}, {j}");
                continue;
            }
            let terms = (0..k).map(|p| {
                let (a, b) = (av.data[i * av.row + p * av.column], bv.data[p * bv.row + j * bv.column]);
                f64::from(a) * f64::from(b)
            });
            let exact = terms.clone().sum::<f64>() + if add { f64::from(before[place]) } else { 0.0 };
            let bound = 1e-6 * (1.0 + terms.map(f64::abs).sum::<f64>());
            assert!(
                (f64::from(c[place]) - exact).abs() < bound,
                "{size:?} {transposed:?} {add} at {i}, {j}: {} for {exact}",
                c[place]
            );
        }
    }
}

#[test]
fn sizes_at_every_edge() {
    for size in [
        (1, 1, 1),
        (14, 16, 32),
        (15, 17, 33),
        (13, 384, 31),
        (29, 385, 64),
        (450, 20, 35),
        (3, 0, 5),
        (2, 900, 16),
        (1, 64, 500),
    ] {
        for transposed in [(false, false), (false, true), (true, false), (true, true)] {
            for add in [false, true] {
                check(size, transposed, add, Threads::One, false);
                check(size, transposed, add, Threads::One, true);
            }
        }
    }
}

#[test]
fn shared_among_threads() {
    check((300, 200, 130), (false, true), true, Threads::All, false);
    check((130, 200, 300), (true, false), false, Threads::All, false);
}

#[test]
#[should_panic(expected = "outside its slice")]
fn a_factor_too_short_is_refused() {
    let mut c = [0.0; 4];
    Product {
        size: (2, 2, 2),
        a: View::rows(&[0.0; 3], 2),
        b: View::rows(&[0.0; 4], 2).into(),
        c: &mut c,
        stride: 2,
        add: false,
    }
    .run(Threads::One);
}

/// Expanded some lines at a time, a product is what it is at once, but for rounding.
#[test]
fn by_lines_as_at_once() {
    let (m, k, n) = (7, 50, 33);
    let (a, floats) = (numbers(m * k, 1), numbers(k * n, 5));
    let halves: Vec<u8> = floats
        .iter()
        .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
        .collect();
    let elements = Elements::Halves(&halves, Half::Bf16);
    for (transposed, add) in [(false, false), (false, true), (true, false), (true, true)] {
        let stride = if transposed { k } else { n };
        let product = |room: Option<usize>| {
            let mut c = vec![0.5; m * n];
            let right = Right::rows(elements, stride);
            let product = Product {
                size: (m, k, n),
                a: View::rows(&a, k),
                b: if transposed { right.transposed() } else { right },
                c: &mut c,
                stride: n,
                add,
            };
            match room {
                Some(room) => product.by_lines(Threads::One, room, |part, threads| part.portable(threads)),
                None => product.run(Threads::One),
            }
            c
        };
        let whole = product(None);
        for room in [1, 130, 4000] {
            for (one, other) in product(Some(room)).iter().zip(&whole) {
                assert!(
                    (one - other).abs() < 1e-5,
                    "{transposed} {add} {room}: {one} for {other}"
                );
            }
        }
    }
}

/// Whatever a factor is kept as, the product is to the bit that with its float32 expansion (with AVX-512; else but for
/// rounding).
fn same_as_expanded((m, k, n): (usize, usize, usize), elements: Elements<'_>, stride: usize, transposed: bool) {
    let a = numbers(m * k, 1);
    let mut floats = vec![0.0; elements.len()];
    elements.expand_all(&mut floats);
    let product = |b: Right<'_>, portable: bool| {
        let mut c = vec![0.0; m * n];
        let product = Product {
            size: (m, k, n),
            a: View::rows(&a, k),
            b,
            c: &mut c,
            stride: n,
            add: false,
        };
        if portable {
            product.portable(Threads::One);
        } else {
            product.run(Threads::One);
        }
        c
    };
    for portable in [false, true] {
        let [kept, whole] = [elements, Elements::Floats(&floats)].map(|elements| {
            let right = Right::rows(elements, stride);
            product(if transposed { right.transposed() } else { right }, portable)
        });
        let told = format!("{m} {k} {n} {stride} {transposed} {portable}");
        // The crate's own way depends on strides, which an expanded block has of its own.
        if portable || !rows_are_independent() {
            let close = |(one, other): (&f32, &f32)| (one - other).abs() < 1e-4;
            assert!(kept.iter().zip(&whole).all(close), "{told}: {kept:?} for {whole:?}");
        } else {
            assert_eq!(kept, whole, "{told}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_form(m in 1usize..40, k in 1usize..140, n in 1usize..70, more in 0usize..40, first in 0usize..70, transposed: bool, aligned: bool) {
        // Whole blocks from a multiple of 16 on take the short way, all others the long one.
        let (k, n, more, first) = if aligned { (k.next_multiple_of(16), n.next_multiple_of(16), more / 16 * 16, first / 16 * 16) } else { (k, n, more, first) };
        let (lines, length) = if transposed { (n, k) } else { (k, n) };
        let stride = length + more;
        let floats = numbers(first + lines * stride, 5);
        for code in [Code::Fp4, Code::Nf4] {
            let (codes, scales) = quantize(floats.len(), code, |range, to| to.copy_from_slice(&floats[range]));
            let values = code.values();
            same_as_expanded((m, k, n), Elements::Four(Four { codes: &codes, scales: &scales, values: &values, first }), stride, transposed);
        }
        let brain: Vec<u8> = floats.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
        same_as_expanded((m, k, n), Elements::Halves(&brain, Half::Bf16), stride, transposed);
        let short: Vec<u8> = floats.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
        same_as_expanded((m, k, n), Elements::Halves(&short, Half::F16), stride, transposed);
        // Any bytes are blocks; scales of 2⁻¹¹ keep them small.
        for (kind, scales) in [(BlockType::Q8_0, &[0][..]), (BlockType::Q4_K, &[0, 2])] {
            let count = floats.len().div_ceil(kind.elements());
            let mut bytes: Vec<u8> = (0..count * kind.bytes()).map(|i| (i * 7919 % 251) as u8).collect();
            for block in bytes.chunks_mut(kind.bytes()) {
                scales.iter().for_each(|&at| block[at..at + 2].copy_from_slice(&[0, 0x10]));
            }
            let blocks = Blocks { kind, bytes: &bytes, first };
            same_as_expanded((m, k, n), Elements::Blocks(blocks), stride, transposed);
        }
    }

    #[test]
    fn any_size(m in 1usize..70, k in 0usize..80, n in 1usize..90, x: bool, y: bool, add: bool) {
        check((m, k, n), (x, y), add, Threads::One, false);
    }
}
