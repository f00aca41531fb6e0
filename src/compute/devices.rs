//! Work shared out among devices, each of which takes the next piece when it is done with one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Work;
use crate::diagnostic::Result;
use crate::model::device::Backend;

/// Jobs of one model, by run and place in it, in order: what one device does at a time.
pub struct Unit<'a> {
    pub model: &'a str,
    pub jobs: Vec<(usize, usize)>,
}

/// The jobs of models, shared out among so many devices: models whole where there are as many as devices, else each in
/// parts of about the same size, so that several devices load it.
fn shared_out<'a>(models: Vec<Unit<'a>>, devices: usize) -> Vec<Unit<'a>> {
    let parts = devices.div_ceil(models.len().max(1));
    let cut = |unit: Unit<'a>| {
        let size = unit.jobs.len().div_ceil(parts).max(1);
        let part = |jobs: &[(usize, usize)]| Unit {
            model: unit.model,
            jobs: jobs.to_vec(),
        };
        unit.jobs.chunks(size).map(part).collect::<Vec<_>>()
    };
    models.into_iter().flat_map(cut).collect()
}

/// Does the work of models on all of the devices at the same time; what was found, unit by unit as they were finished.
///
/// # Errors
/// The first of a device's. The others then end what they are at.
pub fn on_all<T: Send>(
    backends: &[Backend],
    models: Vec<Unit<'_>>,
    of_unit: impl Fn(&Backend, &Unit<'_>, &mut Work) -> Result<T> + Sync,
) -> Result<(Vec<T>, Work)> {
    let waiting: Mutex<VecDeque<Unit>> = Mutex::new(shared_out(models, backends.len()).into());
    let failed = AtomicBool::new(false);
    // One device: unit after unit, until none is left.
    let all = |backend: &Backend| -> Result<(Vec<T>, Work)> {
        let (mut done, mut work) = (Vec::new(), Work::default());
        while !failed.load(Ordering::Relaxed) {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(unit) = next else { break };
            let found = of_unit(backend, &unit, &mut work);
            failed.fetch_or(found.is_err(), Ordering::Relaxed);
            done.push(found?);
        }
        Ok((done, work))
    };
    let all = &all;
    let found: Vec<Result<(Vec<T>, Work)>> = match backends {
        [backend] => vec![all(backend)],
        several => std::thread::scope(|scope| {
            let workers: Vec<_> = several
                .iter()
                .map(|backend| scope.spawn(move || all(backend)))
                .collect();
            let of_each = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            of_each.collect()
        }),
    };
    let (mut done, mut work) = (Vec::new(), Work::default());
    for found in found {
        let (units, more) = found?;
        done.extend(units);
        work.add(more);
    }
    Ok((done, work))
}
