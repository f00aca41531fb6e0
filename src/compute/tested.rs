//! Tests of maps, once the maps of a model are there: first the maps of the model with permuted parameters, which are
//! a control, then F of prompts with words removed.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Worker, place, prepared};
use crate::attribution::faithfulness::{self, Settings, Tested};
use crate::attribution::integrated_gradients::{RemovalOf, Replaceable, Scalar};
use crate::attribution::schedule::Task;
use crate::content::experiment::FaithfulnessSpec;
use crate::diagnostic::Result;
use crate::interrupt;
use crate::plan::{Job, KnownTarget, Run};
use crate::store::key::{AttributionKey, Key, TestKey};
use crate::store::{Parts, StoredAttribution, StoredTest};
use crate::terms::{Baseline, BaselineVector, Control};

/// A job with the parts that it has so far.
pub type Computed<'a> = (&'a Job<'a>, &'a Parts);

/// A map of the permuted model that the store lacks.
pub struct Lacking {
    key: AttributionKey,
    /// Which job's.
    job: usize,
}

/// What a job's maps explain.
fn known(job: &Job, parts: &Parts) -> Result<Vec<Option<KnownTarget>>> {
    job.known_targets(
        parts.prediction.token_id,
        parts.generation.as_ref().map(|(_, said)| said),
    )
}

impl Worker<'_> {
    /// How the model is permuted for the controls: in all layers, and for a cascade in the last one, the last two, and so
    /// on to all of them.
    pub fn permutations(&self, spec: &FaithfulnessSpec) -> Vec<Option<usize>> {
        let all = spec.controls.contains(&Control::Parameters).then_some(None);
        let layers = if spec.controls.contains(&Control::Cascading) {
            self.explainer.model().layers()
        } else {
            0
        };
        all.into_iter().chain((1..=layers).map(Some)).collect()
    }

    /// The maps of a permuted model that the tests of these jobs need and the store lacks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn lacking_permuted(&self, run: &Run, jobs: &[Computed<'_>], layers: Option<usize>) -> Result<Vec<Lacking>> {
        let mut lacking = Vec::new();
        let Some(spec) = &run.experiment.faithfulness else {
            return Ok(lacking);
        };
        let mut names = BTreeSet::new();
        for (index, (job, parts)) in jobs.iter().enumerate().filter(|(_, (job, _))| job.tested) {
            // Maps whose tests are stored need no control any more.
            let keys = job.test_keys(run, &known(job, parts)?);
            for (part, tests) in parts.attributions.iter().zip(&keys) {
                let key = job.permuted(&part.key, spec.seed, layers);
                let stored = |test: &TestKey| -> Result<bool> {
                    Ok(self.store.get::<StoredTest>(test, run.vocabulary)?.is_some())
                };
                let tested = tests
                    .iter()
                    .map(stored)
                    .collect::<Result<Vec<_>>>()?
                    .into_iter()
                    .all(|stored| stored);
                if !tested
                    && names.insert(key.name())
                    && self.store.get::<StoredAttribution>(&key, run.vocabulary)?.is_none()
                {
                    let job = index;
                    lacking.push(Lacking { key, job });
                }
            }
        }
        Ok(lacking)
    }

    /// Computes maps of the permuted model, which this worker has loaded.
    ///
    /// # Errors
    /// As for any maps.
    pub fn permuted_maps(&mut self, run: &Run, jobs: &[Computed<'_>], lacking: Vec<Lacking>) -> Result<()> {
        let spec = &run.experiment.attribution;
        let methods = prepared(spec);
        let (mut tasks, mut keys) = (Vec::new(), Vec::new());
        for Lacking { key, job } in lacking {
            let of_key = methods.iter().find(|(method, _)| *method == key.method.method());
            let (_, method) = of_key.expect("the key is of one of the experiment's methods");
            let (job, _) = jobs[job];
            tasks.push(Task {
                ids: key.token_ids.clone(),
                forced: key.forced.clone(),
                given: key.given,
                start: key.baseline,
                routing: key.routing,
                units: key.units.clone(),
                scalar: Scalar::of(&key.target, key.output),
                method: method.clone(),
            });
            keys.push((key, format!("{}, permuted parameters", place(run, job))));
        }
        let computed = self.work.computed;
        self.attributions(spec, &tasks, &keys)?;
        // They are no maps of the site.
        self.work.computed = computed;
        Ok(())
    }

    /// The tests of each of a job's maps, one for each replacement; those that the store lacks are made.
    ///
    /// # Errors
    /// Memory runs out, a signal requests the end, or the store cannot be read or written.
    pub fn tests(&mut self, run: &Run, (job, parts): Computed<'_>) -> Result<Vec<Vec<StoredTest>>> {
        let Some(spec) = run.experiment.faithfulness.as_ref().filter(|_| job.tested) else {
            return Ok(vec![]);
        };
        self.progress.at(format!("{}: testing maps", place(run, job)));
        let keys = job.test_keys(run, &known(job, parts)?);
        let mut found: Vec<Vec<Option<StoredTest>>> = Vec::with_capacity(keys.len());
        for keys in &keys {
            let stored = keys.iter().map(|key| self.store.get::<StoredTest>(key, run.vocabulary));
            found.push(stored.collect::<Result<_>>()?);
        }
        let of_job = OfJob {
            run,
            job,
            parts,
            spec,
            units: job.units(spec.units, Some(&run.subject)),
            keys: &keys,
        };
        for (at, replacement) in run.replacements.iter().enumerate() {
            let mut lacking: Vec<usize> = (0..keys.len()).filter(|&map| found[map][at].is_none()).collect();
            // All maps of a prompt read the same F; with those of an answer of several tokens it is another prompt.
            lacking.sort_by(|&a, &b| of_job.forced(a).cmp(&of_job.forced(b)).then(a.cmp(&b)));
            for maps in lacking.chunk_by(|&a, &b| of_job.forced(a) == of_job.forced(b)) {
                for (&map, test) in maps.iter().zip(self.tests_of(&of_job, maps, (at, replacement))?) {
                    found[map][at] = Some(test);
                }
            }
        }
        let whole = |tests: Vec<Option<StoredTest>>| tests.into_iter().flatten().collect();
        Ok(found.into_iter().map(whole).collect())
    }

    /// The tests of maps that read one prompt, with the replacement that is at this place of the list.
    fn tests_of(
        &mut self,
        of: &OfJob<'_>,
        maps: &[usize],
        (at, (baseline, replacement)): (usize, &(Baseline, BaselineVector)),
    ) -> Result<Vec<StoredTest>> {
        let OfJob { run, job, spec, .. } = *of;
        let attribution = &run.experiment.attribution;
        let mut scalars: Vec<Scalar> = Vec::new();
        for &map in maps {
            let scalar = of.scalar(map);
            if !scalars.contains(&scalar) {
                scalars.push(scalar);
            }
        }
        let mut removals = self.explainer.removals(&Replaceable {
            ids: &job.prediction.token_ids,
            forced: of.forced(maps[0]).0,
            given: of.forced(maps[0]).1,
            units: &of.units,
            replacement: *replacement,
            routing: attribution.routing,
            scalars: &scalars,
        })?;
        let mut made = Vec::with_capacity(maps.len());
        for &map in maps {
            interrupt::check()?;
            let began = Instant::now();
            let key = &of.keys[map][at];
            let permuted = match &key.permuted {
                Some(_) => {
                    let key = job.permuted(&of.parts.attributions[map].key, spec.seed, None);
                    self.store.get::<StoredAttribution>(&key, run.vocabulary)?
                }
                None => None,
            };
            let permuted = permuted.map(|part| of.unit_scores(&part));
            let mut cascade = Vec::new();
            for layers in self.permutations(spec).into_iter().flatten() {
                let key = job.permuted(&of.parts.attributions[map].key, spec.seed, Some(layers));
                let part = self.store.get::<StoredAttribution>(&key, run.vocabulary)?;
                cascade.push(part.map_or_else(Vec::new, |part| of.unit_scores(&part)));
            }
            let other = key
                .other
                .as_ref()
                .and_then(|name| of.map_named(name))
                .map(|part| of.unit_scores(part));
            let scores = of.unit_scores(&of.parts.attributions[map]);
            let tested = Tested {
                replacement: baseline.clone(),
                units: spec.units,
                scores: &scores,
                shuffled: spec.controls.contains(&Control::Shuffled),
                position: spec.controls.contains(&Control::Position),
                parameters: permuted.as_deref(),
                cascading: spec.controls.contains(&Control::Cascading).then_some(&cascade[..]),
                option: other.as_deref(),
            };
            let settings = Settings {
                beam: spec.beam,
                seed: spec.seed,
                ..Settings::default()
            };
            let scalar = of.scalar(map);
            let mut removal = RemovalOf {
                explainer: &mut self.explainer,
                removals: &mut removals,
                scalar: scalars.iter().position(|known| *known == scalar).unwrap_or_default(),
                batch: attribution.batch,
            };
            let result =
                faithfulness::test(&mut removal, &tested, &settings).map_err(|error| error.place(place(run, job)))?;
            let part = StoredTest {
                key: key.clone(),
                result,
                provenance: self.provenance(began.elapsed().as_secs_f64()),
            };
            self.store.put(&part)?;
            made.push(part);
        }
        Ok(made)
    }
}

/// What the tests of a job's maps share.
struct OfJob<'a> {
    run: &'a Run<'a>,
    job: &'a Job<'a>,
    parts: &'a Parts,
    spec: &'a FaithfulnessSpec,
    /// The places of each unit's tokens.
    units: Vec<Vec<usize>>,
    /// Of each map, for each replacement.
    keys: &'a [Vec<TestKey>],
}

impl OfJob<'_> {
    /// The tokens behind the prompt, and how many of them are only given.
    fn forced(&self, map: usize) -> (&[u32], usize) {
        let key = &self.parts.attributions[map].key;
        (&key.forced, key.given)
    }

    /// F of a map.
    fn scalar(&self, map: usize) -> Scalar {
        let key = &self.parts.attributions[map].key;
        Scalar::of(&key.target, key.output)
    }

    fn map_named(&self, name: &str) -> Option<&StoredAttribution> {
        self.parts.attributions.iter().find(|part| part.key.name() == name)
    }

    /// The sum of the scores of each unit's tokens; of a marked map, which has no scores, no numbers.
    fn unit_scores(&self, part: &StoredAttribution) -> Vec<f64> {
        let score = |&token: &usize| part.scores.get(token).copied().unwrap_or(f64::NAN);
        self.units.iter().map(|unit| unit.iter().map(score).sum()).collect()
    }
}
