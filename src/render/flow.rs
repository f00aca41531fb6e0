//! Files on their way from pages to whoever takes them: made and looked at on all threads, taken in an order that is
//! always the same.

use rayon::prelude::*;

use super::OutputFile;
use super::claims::Claims;
use crate::diagnostic::{Diagnostics, Result};

/// What takes the files of a site.
pub trait Receiver: Sync {
    /// What is left to be known of a file when it was looked at.
    type Looked: Send;
    /// A file of which parts are still to come.
    type Growing: Send;

    /// Looks at a file, and does with it whatever needs no order: many threads do so at once.
    ///
    /// # Errors
    /// The file cannot be taken; the site is given up.
    fn look(&self, file: &OutputFile) -> Result<Self::Looked>;

    /// Begins a file that is too large to be in memory at once.
    ///
    /// # Errors
    /// As [`Self::look`].
    fn begin(&self, path: &str) -> Result<Self::Growing>;

    /// Adds what comes next in it.
    ///
    /// # Errors
    /// As [`Self::look`].
    fn grow(file: &mut Self::Growing, part: &[u8]) -> Result<()>;

    /// Looks at a file that is whole now.
    ///
    /// # Errors
    /// As [`Self::look`].
    fn end(&self, file: Self::Growing) -> Result<Self::Looked>;

    /// Takes what came of a look, in the order of the site, which is always the same.
    ///
    /// # Errors
    /// As [`Self::look`].
    fn take(&mut self, looked: Self::Looked) -> Result<()>;
}

/// Hands each file to a function, in the order of the site.
pub(super) struct Each<'a>(pub(super) &'a mut (dyn FnMut(OutputFile) -> Result<()> + Send + Sync));

impl Receiver for Each<'_> {
    type Looked = OutputFile;
    type Growing = OutputFile;

    fn look(&self, file: &OutputFile) -> Result<OutputFile> {
        Ok(file.clone())
    }

    fn begin(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile {
            path: path.to_owned(),
            bytes: Vec::new(),
        })
    }

    fn grow(file: &mut OutputFile, part: &[u8]) -> Result<()> {
        file.bytes.extend_from_slice(part);
        Ok(())
    }

    fn end(&self, file: OutputFile) -> Result<OutputFile> {
        Ok(file)
    }

    fn take(&mut self, file: OutputFile) -> Result<()> {
        (self.0)(file)
    }
}

/// Where a page puts its files.
pub struct Sink<'a> {
    pass: &'a mut dyn FnMut(&OutputFile, &str) -> Result<()>,
}

impl<'a> Sink<'a> {
    /// Where `pass` takes the files.
    #[cfg(test)]
    pub(super) fn to(pass: &'a mut dyn FnMut(&OutputFile, &str) -> Result<()>) -> Self {
        Self { pass }
    }

    /// Passes one file on; `made_by` says what it is made from, for the message when two claim one path.
    pub fn put(&mut self, path: String, bytes: Vec<u8>, made_by: &str) -> Result<()> {
        self.put_file(&OutputFile { path, bytes }, made_by)
    }

    /// As [`Self::put`], for a file whose bytes are still needed.
    pub fn put_file(&mut self, file: &OutputFile, made_by: &str) -> Result<()> {
        (self.pass)(file, made_by)
    }
}

/// A file that was looked at: its path, what made it, and what the receiver knows of it.
type Passed<L> = (String, String, L);

/// What one function gave, and its files.
type Made<T, L> = (T, Vec<Passed<L>>);

/// Samples at work at once: enough for all threads, few enough that what is known of their files takes little memory.
const STRETCH: usize = 512;

/// Files on their way to the receiver: made and looked at in any order, taken in the site's. Refuses two for one path.
pub(super) struct Flow<'a, R: Receiver> {
    paths: Claims,
    pages: Vec<String>,
    receiver: &'a mut R,
}

impl<'a, R: Receiver> Flow<'a, R> {
    /// On the way to a receiver, with nothing taken yet.
    pub(super) fn to(receiver: &'a mut R) -> Self {
        Self {
            paths: Claims::default(),
            pages: Vec::new(),
            receiver,
        }
    }

    /// The pages taken so far, in the order of their paths.
    pub(super) fn pages(&self) -> impl Iterator<Item = &String> {
        let mut pages: Vec<&String> = self.pages.iter().collect();
        pages.sort_unstable();
        pages.into_iter()
    }

    /// Takes the files of one function.
    pub(super) fn one(
        &mut self,
        make: impl FnOnce(&mut Sink<'_>) -> Result<(), Diagnostics>,
    ) -> Result<(), Diagnostics> {
        let mut passed = Vec::new();
        let receiver = &*self.receiver;
        let mut pass = |file: &OutputFile, made_by: &str| {
            passed.push((file.path.clone(), made_by.to_owned(), receiver.look(file)?));
            Ok(())
        };
        make(&mut Sink { pass: &mut pass })?;
        Ok(self.take(passed)?)
    }

    /// Takes the files of `make` for each index up to `count`.
    pub(super) fn each(
        &mut self,
        count: usize,
        make: impl Fn(usize, &mut Sink<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        self.each_with(count, make, |_| Ok(()))
    }

    /// As [`Self::each`], and passes on what each returned, in their order and some at a time.
    pub(super) fn each_with<T: Send>(
        &mut self,
        count: usize,
        make: impl Fn(usize, &mut Sink<'_>) -> Result<T> + Sync,
        mut tell: impl FnMut(Vec<T>) -> Result<()>,
    ) -> Result<()> {
        for start in (0..count).step_by(STRETCH) {
            let receiver = &*self.receiver;
            let done: Vec<Result<Made<T, R::Looked>>> = (start..count.min(start + STRETCH))
                .into_par_iter()
                // One at a time: a thread that has half of them left when the others are done keeps all waiting.
                .with_max_len(1)
                .map(|index| {
                    let mut passed = Vec::new();
                    let mut pass = |file: &OutputFile, made_by: &str| {
                        passed.push((file.path.clone(), made_by.to_owned(), receiver.look(file)?));
                        Ok(())
                    };
                    let made = make(index, &mut Sink { pass: &mut pass })?;
                    Ok((made, passed))
                })
                .collect();
            let mut all = Vec::with_capacity(done.len());
            for one in done {
                let (made, passed) = one?;
                self.take(passed)?;
                all.push(made);
            }
            tell(all)?;
        }
        Ok(())
    }

    /// Begins a file that is too large to be in memory at once.
    pub(super) fn begin(&self, path: &str) -> Result<R::Growing> {
        self.receiver.begin(path)
    }

    /// Takes such a file when it is whole.
    pub(super) fn end(&mut self, path: String, file: R::Growing, made_by: &str) -> Result<()> {
        let looked = self.receiver.end(file)?;
        self.take(vec![(path, made_by.to_owned(), looked)])
    }

    fn take(&mut self, passed: Vec<Passed<R::Looked>>) -> Result<()> {
        for (path, made_by, looked) in passed {
            self.paths.claim(&path, &made_by)?;
            if path.ends_with(".html") {
                self.pages.push(path);
            }
            self.receiver.take(looked)?;
        }
        Ok(())
    }

    /// Takes a file that the project may bring itself in `static/`.
    pub(super) fn unless_own(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        if self.paths.has(path) {
            return Ok(());
        }
        let file = OutputFile {
            path: path.to_owned(),
            bytes,
        };
        let looked = self.receiver.look(&file)?;
        self.take(vec![(path.to_owned(), "igsite".to_owned(), looked)])
    }
}
