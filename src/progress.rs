//! Progress on standard error: a live line on a terminal, a plain line now and then elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a plain line is written.
const EVERY: Duration = Duration::from_secs(10);

/// The live lines.
const EVALUATIONS: &str = "{msg}\n{bar:40} {pos}/{len} evaluations, {eta} left";
const TRANSFER: &str = "{msg}\n{bar:40} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Evaluations of a model.
    Evaluations,
    /// Bytes from the hub.
    Bytes,
}

/// Counts towards a known total.
#[derive(Debug)]
pub struct Progress {
    counted: Counted,
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    /// When the last plain line was written.
    written: Instant,
    /// Counted since `started`: what the speed is taken from.
    since: u64,
}

impl Progress {
    /// Begins to count towards `total`.
    pub fn new(counted: Counted, total: u64, quiet: bool) -> Self {
        let template = match counted {
            Counted::Evaluations => EVALUATIONS,
            Counted::Bytes => TRANSFER,
        };
        let (bar, plain) = bar(total, quiet, template);
        let now = Instant::now();
        Self {
            counted,
            bar,
            plain,
            started: now,
            written: now,
            since: 0,
        }
    }

    /// Says what is at work now.
    pub fn at(&mut self, what: String) {
        self.bar.set_message(what);
    }

    /// Counts what was done or came.
    pub fn add(&mut self, count: u64) {
        self.since += count;
        self.bar.inc(count);
        self.write_now_and_then();
    }

    fn write_now_and_then(&mut self) {
        if !self.plain || self.written.elapsed() < EVERY {
            return;
        }
        self.written = Instant::now();
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let seconds = self.started.elapsed().as_secs_f64();
        let left = left(seconds, self.since, total.saturating_sub(done));
        let what = self.bar.message();
        match self.counted {
            Counted::Evaluations => eprintln!("{what}: {done}/{total} evaluations, {left} left"),
            Counted::Bytes => {
                let rate = bytes((self.since as f64 / seconds.max(1e-3)) as u64);
                eprintln!("{what}: {} of {}, {rate}/s, {left} left", bytes(done), bytes(total));
            }
        }
    }

    /// Says how far a model has come in its own words.
    pub fn said(&mut self, tokens: usize, most: usize) {
        let text = self.bar.message();
        let what = text.split(": its own words").next().unwrap_or_default();
        self.bar
            .set_message(format!("{what}: its own words, {tokens} of at most {most} tokens"));
        self.write_now_and_then();
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
        self.since = 0;
        self.bar.reset_eta();
    }

    /// Counts what was here already: it says nothing of the speed to come.
    pub fn skip(&mut self, count: u64) {
        self.bar.inc(count);
        self.bar.reset_eta();
    }

    /// Takes back what has to come again.
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

    /// What was counted since the start, without what was here already.
    pub fn since(&self) -> u64 {
        self.since
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

/// The time left, if it goes on as in the `seconds` in which so much was done.
fn left(seconds: f64, done: u64, left: u64) -> humantime::FormattedDuration {
    let seconds = seconds * left as f64 / done.max(1) as f64;
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
        let mut transfer = Progress::new(Counted::Bytes, 100, true);
        transfer.skip(60);
        transfer.add(30);
        assert_eq!((transfer.bar.position(), transfer.since()), (90, 30));
        transfer.back(90);
        transfer.add(100);
        assert_eq!((transfer.bar.position(), transfer.since()), (100, 130));
        assert_eq!(bytes(14_480_000_000), "14.48 GB");
    }
}
