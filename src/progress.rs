//! Progress on standard error: a live line on a terminal, a plain line now and then elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a plain line is written.
const EVERY: Duration = Duration::from_secs(10);

/// The live lines.
const EVALUATIONS: &str = "{msg}\n{bar:40} {pos}/{len} evaluations, {eta} left";
const TRANSFER: &str = "{msg}\n{bar:40} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";

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
        let (bar, plain) = bar(total, quiet, EVALUATIONS);
        let now = Instant::now();
        Self {
            bar,
            plain,
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
        if self.plain && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let left = left(
                self.started,
                done.saturating_sub(self.before),
                total.saturating_sub(done),
            );
            eprintln!("{}: {done}/{total} evaluations, {left} left", self.bar.message());
        }
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

/// Counts bytes that come from the hub.
#[derive(Debug)]
pub struct Transfer {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    told: Instant,
    /// Bytes that came since `started`.
    came: u64,
}

impl Transfer {
    /// Begins to count towards `total` bytes of `what`.
    pub fn new(what: &str, total: u64, quiet: bool) -> Self {
        let (bar, plain) = bar(total, quiet, TRANSFER);
        bar.set_message(what.to_owned());
        let now = Instant::now();
        Self {
            bar,
            plain,
            started: now,
            told: now,
            came: 0,
        }
    }

    /// Says what is at work now.
    pub fn at(&mut self, what: String) {
        self.bar.set_message(what);
    }

    /// Counts bytes that came.
    pub fn add(&mut self, count: u64) {
        self.came += count;
        self.bar.inc(count);
        if self.plain && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let rate = self.came as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
            let left = left(self.started, self.came, total.saturating_sub(done));
            eprintln!(
                "{}: {} of {}, {}/s, {left} left",
                self.bar.message(),
                bytes(done),
                bytes(total),
                bytes(rate as u64)
            );
        }
    }

    /// Counts bytes that were here already: they say nothing of the speed to come.
    pub fn skip(&mut self, count: u64) {
        self.bar.inc(count);
        self.bar.reset_eta();
    }

    /// Takes back bytes that have to come again.
    pub fn back(&mut self, count: u64) {
        self.bar.set_position(self.bar.position().saturating_sub(count));
        self.bar.reset_eta();
    }

    /// Says something once, above the live line.
    pub fn note(&self, text: &str) {
        if self.plain {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Bytes that came, those not counted that were here already.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// Ends the display.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A number of bytes for people: `14.48 GB`.
pub fn bytes(count: u64) -> String {
    DecimalBytes(count).to_string()
}

/// A live line on a terminal; else nothing, and whether plain lines take its place.
fn bar(total: u64, quiet: bool, template: &str) -> (ProgressBar, bool) {
    let terminal = std::io::stderr().is_terminal();
    let target = if quiet || !terminal {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    (bar, !quiet && !terminal)
}

/// The time left, if it goes on as since `started`.
fn left(started: Instant, done: u64, left: u64) -> humantime::FormattedDuration {
    let seconds = started.elapsed().as_secs_f64() * left as f64 / done.max(1) as f64;
    humantime::format_duration(Duration::from_secs(seconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_lines_are_what_the_library_understands() {
        for template in [EVALUATIONS, TRANSFER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn only_what_comes_counts_for_the_speed() {
        let mut transfer = Transfer::new("org/name", 100, true);
        transfer.skip(60);
        transfer.add(30);
        assert_eq!((transfer.bar.position(), transfer.came()), (90, 30));
        transfer.back(90);
        transfer.add(100);
        assert_eq!((transfer.bar.position(), transfer.came()), (100, 130));
        assert_eq!(bytes(14_480_000_000), "14.48 GB");
    }
}
