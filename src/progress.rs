//! Progress on standard error: a live line on a terminal, a plain line now and then elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a plain line is written.
const EVERY: Duration = Duration::from_secs(10);

/// Counts evaluations towards a known total.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    told: Instant,
    /// Evaluations that were counted before `started`.
    before: u64,
}

impl Progress {
    /// Begins to count towards `total` evaluations.
    pub fn new(total: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if quiet || !terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template("{msg}\n{bar:40} {pos}/{len} evaluations, {eta} left") {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            bar,
            plain: !quiet && !terminal,
            started: now,
            told: now,
            before: 0,
        }
    }

    /// Says what is at work now.
    pub fn at(&mut self, what: String) {
        self.bar.set_message(what);
    }

    /// Counts evaluations that were done.
    pub fn add(&mut self, evaluations: u64) {
        self.bar.inc(evaluations);
        self.tell_now_and_then();
    }

    fn tell_now_and_then(&mut self) {
        if self.plain && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let lately = done.saturating_sub(self.before).max(1);
            let left = self.started.elapsed().as_secs_f64() * total.saturating_sub(done) as f64 / lately as f64;
            let left = humantime::format_duration(Duration::from_secs(left as u64));
            eprintln!("{}: {done}/{total} evaluations, {left} left", self.bar.message());
        }
    }

    /// Says how far a model has come in its own words.
    pub fn said(&mut self, tokens: usize, most: usize) {
        let text = self.bar.message();
        let what = text.split(": its own words").next().unwrap_or_default();
        self.bar
            .set_message(format!("{what}: its own words, {tokens} of at most {most} tokens"));
        self.tell_now_and_then();
    }

    /// What was guessed of a part of the total, and what it came to.
    pub fn correct(&mut self, guess: u64, actual: u64) {
        let total = self.bar.length().unwrap_or_default() + actual;
        self.bar
            .set_length(total.saturating_sub(guess).max(self.bar.position()));
    }

    /// Forgets the time so far: it says nothing of the speed to come.
    pub fn restart(&mut self) {
        self.started = Instant::now();
        self.before = self.bar.position();
        self.bar.reset_eta();
    }

    /// Ends the display.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}
