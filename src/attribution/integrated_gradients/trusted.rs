//! Work on a device, and whether its results are believed.
//!
//! The CPU's kernels are the project's own, and are tested. Kernels of a GPU are written at run time, and by a tuner's
//! choice; reports of results that were wrong without a word are open (docs/gpu.md). So what a GPU gives is looked at:
//! a number that was never written or is not finite, a task whose failure was only told to the log, or a device that
//! does not come to its end is a failure of what was computed. It is computed once more, without what a tuner chose, and
//! the model goes on without; where that fails too, it is an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::DType;

use super::outputs::Outputs;
use super::{Asked, Ends, Explainer, Points, Reading, Removals, Scalar, Value, guarded};
use crate::diagnostic::{Diagnostic, Result};
use crate::kernel::Threads;
use crate::model::backward::Gradients;
use crate::model::device::watch;
use crate::model::ops::Sequences;
use crate::model::path::Path;
use crate::tensor::care::{self, Care};
use crate::terms::Output;

/// How all errors begin that say that a device's numbers are not believed.
const DISTRUST: &str = "the device's numbers cannot be trusted: ";

/// What is known of a device's results.
#[derive(Debug)]
pub struct Trust {
    /// Whether they are looked at.
    checked: bool,
    /// Whether products are computed by the simplest kernel.
    simple: bool,
    /// Whether what a tuner chose has failed before.
    untuned: AtomicBool,
    /// What failed and was computed again.
    told: Mutex<Vec<String>>,
    /// How far F at the input was apart, by a path and by the prompt itself, the most so far; relative.
    apart: Mutex<Option<f64>>,
}

impl Trust {
    pub(super) fn new(checked: bool, simple: bool) -> Self {
        if checked {
            watch::install();
        }
        Self {
            checked,
            simple,
            untuned: AtomicBool::new(false),
            told: Mutex::default(),
            apart: Mutex::default(),
        }
    }

    /// Whether it computes without what a tuner chose.
    pub fn is_untuned(&self) -> bool {
        self.untuned.load(Ordering::Relaxed)
    }

    /// How far F at the input was apart so far, by a path and by the prompt itself: the largest difference, relative to
    /// F (or to 1, where it is smaller); none before the first.
    pub fn apart_at_input(&self) -> Option<f64> {
        *self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn care(&self) -> Care {
        Care {
            checked: self.checked,
            untuned: self.untuned.load(Ordering::Relaxed),
            simple: self.simple,
        }
    }
}

/// Something that was computed, which may show that it was not.
pub(super) trait Sound {
    /// Whether every number of it is one.
    fn is_finite(&self) -> bool;
}

impl Sound for Vec<f32> {
    fn is_finite(&self) -> bool {
        self.iter().all(|value| value.is_finite())
    }
}

impl Sound for f64 {
    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }
}

impl Sound for Ends {
    fn is_finite(&self) -> bool {
        let further = self.zero.into_iter().chain(self.levels.into_iter().flatten());
        [self.input, self.baseline]
            .into_iter()
            .chain(further)
            .all(f64::is_finite)
    }
}

impl Sound for Value {
    fn is_finite(&self) -> bool {
        self.output.is_finite() && self.scores.iter().all(|score| score.is_finite())
    }
}

impl Sound for Reading {
    fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }
}

impl Sound for Vec<Ends> {
    fn is_finite(&self) -> bool {
        self.iter().all(Sound::is_finite)
    }
}

impl Sound for Vec<Value> {
    fn is_finite(&self) -> bool {
        self.iter().all(Sound::is_finite)
    }
}

impl Sound for Vec<Reading> {
    fn is_finite(&self) -> bool {
        self.iter().all(Sound::is_finite)
    }
}

impl Sound for Vec<Vec<Value>> {
    fn is_finite(&self) -> bool {
        self.iter().all(Sound::is_finite)
    }
}

impl Sound for (Vec<f64>, Vec<f64>) {
    fn is_finite(&self) -> bool {
        self.0.iter().chain(&self.1).all(|value| value.is_finite())
    }
}

/// What stays on the device, and is looked at when something is read that it leads to.
pub(super) struct Unread<T>(pub T);

impl<T> Sound for Unread<T> {
    fn is_finite(&self) -> bool {
        true
    }
}

impl Sound for Removals {
    fn is_finite(&self) -> bool {
        self.readings().all(Sound::is_finite)
    }
}

/// Whether an error says that a device is not believed.
pub(super) fn is_distrust(error: &Diagnostic) -> bool {
    error.message.starts_with(DISTRUST)
}

fn distrust(what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::compute(format!("{DISTRUST}{what}"))
        .expected("what the CPU computes, within what the dtype explains")
        .help("use `--device cpu`; docs/gpu.md has what is known of devices. Where the model itself overflows, `dtype: f32` helps, and the CPU builds a page that says so")
}

/// Whether a failure says that memory ran out, which no other kernel mends.
fn ran_out(error: &Diagnostic) -> bool {
    let text = error.message.to_lowercase();
    ["memory", "alloc", "too large", "too big"]
        .iter()
        .any(|word| text.contains(word))
}

/// How far two results of a model may be apart, relative to the largest, by the numbers that it computes in and its
/// depth: each layer rounds some sixteen times, and errors of layers add up as a random walk does. In float32 what
/// remains is how a device's exp and tanh are made.
pub fn allowance(dtype: DType, layers: usize) -> f64 {
    let half_unit = match dtype {
        DType::BF16 => 2f64.powi(-9),
        DType::F16 => 2f64.powi(-12),
        _ => 2f64.powi(-25),
    };
    (16.0 * half_unit * (layers.max(1) as f64).sqrt()).max(1e-3)
}

impl Explainer {
    /// Whether what its device gives is looked at.
    pub fn is_checked(&self) -> bool {
        self.trust.checked
    }

    /// Looks at its device's results from now on, or not.
    pub fn check(&mut self, checked: bool) {
        self.trust = Arc::new(Trust::new(checked, self.trust.simple));
    }

    /// Computes by no kernel that a tuner chose, from now on.
    pub fn distrust_tuner(&self) {
        self.trust.untuned.store(true, Ordering::Relaxed);
    }

    /// Whether it computes without what a tuner chose.
    pub fn is_untuned(&self) -> bool {
        self.trust.is_untuned()
    }

    /// What is known of its device's results.
    pub fn trust(&self) -> Arc<Trust> {
        self.trust.clone()
    }

    /// Forgets what failed so far: kernels were tuned for the first time, and candidates may fail where the choice does
    /// not.
    pub(crate) fn forget_failures(&self) {
        self.trust.untuned.store(false, Ordering::Relaxed);
        drop(self.take_told());
    }

    /// What failed so far and was computed again; asked twice, it says nothing.
    pub fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut *self.trust.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what failed and was computed again.
    pub(crate) fn tell(&self, what: String) {
        let mut told = self.trust.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(what);
    }

    /// Work on the device, looked at; what fails is done once more without what a tuner chose.
    ///
    /// # Errors
    /// It fails twice; or memory runs out.
    pub(super) fn on_device<T: Sound>(&self, work: impl Fn() -> T) -> Result<T> {
        if !self.trust.checked {
            return guarded(work);
        }
        let failed = match self.looked_at(&work) {
            Ok(found) => return Ok(found),
            Err(failed) => failed,
        };
        if ran_out(&failed) || self.trust.untuned.swap(true, Ordering::Relaxed) {
            return Err(failed);
        }
        let found = self.looked_at(&work)?;
        self.tell(format!(
            "{}; it was computed again without autotune's choice, as the rest is",
            failed.message
        ));
        Ok(found)
    }

    /// Work on the device, looked at.
    fn looked_at<T: Sound>(&self, work: &impl Fn() -> T) -> Result<T> {
        let found = guarded(|| care::with(self.trust.care(), work));
        let ended = guarded(|| self.device.sync());
        let heard = watch::heard();
        let found = found?;
        if let Err(error) = ended? {
            return Err(distrust(format!("it reports {error}")));
        }
        if let Some(line) = heard {
            return Err(distrust(format!("a task of it failed: {line}")));
        }
        if !found.is_finite() {
            return Err(distrust("a number was never written, or is not finite"));
        }
        Ok(found)
    }

    /// On a device that is looked at, compares F at the end of a path with F of the prompt itself: the same number by
    /// other kernels, of other sizes. `counted` are the tokens behind the prompt that F counts.
    ///
    /// # Errors
    /// They are further apart than the dtype explains, with and without what a tuner chose; or as any work.
    pub(crate) fn compare_at_input(&self, path: &Path, tokens: &[u32], scalars: &[Scalar]) -> Result<()> {
        if !self.trust.checked || scalars.is_empty() {
            return Ok(());
        }
        let both = || {
            let counted = path.counted();
            let sequences = Sequences::with_tails(vec![tokens.len()], vec![1 + counted.len()]);
            let logits = self.last_logits(&sequences, &self.embed(tokens));
            let own = Outputs::new(logits, scalars);
            let own = |&scalar: &Scalar| own.values(&[scalar], std::iter::once(counted)).0[0];
            let own: Vec<f64> = scalars.iter().map(own).collect();
            let asked = scalars.iter().map(|&scalar| Asked {
                scalar,
                gradients: Gradients::OWN,
            });
            let points = Points {
                path,
                alphas: vec![1.0],
                asked: asked.collect(),
            };
            let along = self.pass(&[points], &[(0, 0)], Threads::All).remove(0);
            (along.iter().map(|value| value.output).collect::<Vec<f64>>(), own)
        };
        let apart = |(along, own): &(Vec<f64>, Vec<f64>)| {
            let of =
                |((&along, &own), scalar): ((&f64, &f64), &Scalar)| (relative(along, own, scalar.output), along, own);
            let all = along.iter().zip(own).zip(scalars).map(of);
            all.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0.0, 0.0))
        };
        let allowed = allowance(self.dtype, self.model.layers());
        let mut found = apart(&self.on_device(both)?);
        if found.0 > allowed && !self.is_untuned() {
            self.distrust_tuner();
            let before = found;
            found = apart(&self.on_device(both)?);
            if found.0 <= allowed {
                self.tell(format!(
                    "{DISTRUST}F of the whole prompt is {} along a path and {} by itself; without autotune's choice they \
                     agree, and the rest is computed so",
                    before.1, before.2
                ));
            }
        }
        if found.0 > allowed {
            return Err(distrust(format!(
                "F of the whole prompt is {} along a path and {} by itself, which is {:.1e} apart where {allowed:.1e} is allowed",
                found.1, found.2, found.0
            )));
        }
        let mut most = self.trust.apart.lock().unwrap_or_else(PoisonError::into_inner);
        *most = Some(most.map_or(found.0, |most| most.max(found.0)));
        Ok(())
    }
}

/// How far two values of F are apart, relative to the larger, or to 1 for logits and logarithms, whose errors are those
/// of logits; of probabilities, a tenth of the relative difference, since they move as logits do.
fn relative(a: f64, b: f64, output: Output) -> f64 {
    let largest = a.abs().max(b.abs());
    match output {
        Output::Logit | Output::LogProbability => (a - b).abs() / largest.max(1.0),
        Output::Probability if largest > 0.0 => (a - b).abs() / largest / 10.0,
        Output::Probability => 0.0,
    }
}
