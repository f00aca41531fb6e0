//! The `faithfulness` block: how maps are put to the test.

use super::attribution::read_baselines;
use super::{AttributionSpec, FaithfulnessSpec};
use crate::content::dataset::Draw;
use crate::content::decode::{Decoder, Field, Located};
use crate::random;
use crate::terms::{Baseline, Control, Target, UnitKind};

const KEYS: [&str; 6] = ["units", "replacement", "controls", "select", "beam", "seed"];
/// A wider beam finds hardly more (Edin and others 2025 tried 1 to 50).
const WIDEST: u64 = 1000;

/// The block as read: its subset is drawn once the samples are known.
#[derive(Clone, Debug)]
pub struct Faithfulness {
    spec: FaithfulnessSpec,
    select: Option<Draw>,
}

/// Reads the block. `own` says what the maps are: what is removed must not become the very thing that a map compares
/// with, unless other replacements stand beside it, and the control `option` is the map of another target.
pub fn read(decoder: &mut Decoder, field: &Field, own: Option<&AttributionSpec>) -> Option<Faithfulness> {
    let table = decoder.table(field, &KEYS)?;
    let before = decoder.diagnostics.error_count();
    let units = match table.get("units") {
        Some(units) => decoder.choice(&units, UnitKind::WORDS).unwrap_or_default(),
        None => UnitKind::Word,
    };
    let replacement = match table.get("replacement") {
        Some(replacement) => read_baselines(decoder, &replacement).unwrap_or_default(),
        None => vec![Baseline::Mean],
    };
    if let (Some(own), [only]) = (own, &replacement[..])
        && own.baselines.iter().any(|baseline| only.is_as_good_as(baseline))
    {
        let place = table
            .get("replacement")
            .map_or(field.node.position, |field| field.node.position);
        let warning = decoder
            .error(
                place,
                format!("what is removed becomes `{only}`, which is a baseline of the maps themselves"),
            )
            .place("faithfulness.replacement")
            .expected("another baseline, or several")
            .help("a map that compares with a vector is favoured by a test that puts the same vector in; docs/faithfulness.md");
        decoder.push(warning.as_warning());
    }
    let controls = match table.get("controls") {
        Some(controls) => {
            let mut read = Vec::new();
            for item in decoder.list(&controls, "a list, such as [shuffled, position]")? {
                if let Some(control) = decoder.choice(&item, Control::WORDS) {
                    if read.contains(&control) {
                        let error = decoder.error(item.node.position, "this control is here twice");
                        decoder.push(error.place(&item.name));
                    }
                    let targets = own.map(|own| &own.targets[..]);
                    if let (Control::Option, Some([only])) = (control, targets)
                        && *only != Target::AllOptions
                    {
                        let error = decoder
                            .error(
                                item.node.position,
                                "the map of another target, where the maps have one target alone",
                            )
                            .place(&item.name)
                            .expected("several `attribution.targets`, such as [predicted, gold], or another control");
                        decoder.push(error);
                    }
                    read.push(control);
                }
            }
            read
        }
        None => vec![Control::Shuffled, Control::Position, Control::Parameters],
    };
    let select = match table.get("select") {
        Some(select) => Some(read_draw(decoder, &select)?),
        None => None,
    };
    let beam = match table.get("beam") {
        Some(beam) => decoder.whole(&beam, 0..=WIDEST).unwrap_or_default() as usize,
        None => 5,
    };
    let seed = match table.get("seed") {
        Some(seed) => decoder.whole(&seed, 0..=u64::MAX).unwrap_or_default(),
        None => 0,
    };
    let spec = FaithfulnessSpec {
        units,
        replacement,
        controls,
        samples: None,
        beam,
        seed,
    };
    (decoder.diagnostics.error_count() == before).then_some(Faithfulness { spec, select })
}

/// `{count: 100, seed: 3}`
fn read_draw(decoder: &mut Decoder, field: &Field) -> Option<Draw> {
    let table = decoder.table(field, &["count", "seed"])?;
    let count = decoder.require(&table, "count", "how many samples are tested")?;
    let seed = match table.get("seed") {
        Some(seed) => decoder.whole(&seed, 0..=u64::MAX)?,
        None => 0,
    };
    let value = decoder.whole(&count, 1..=u64::MAX)?;
    Some(Draw {
        count: Located {
            value: usize::try_from(value).unwrap_or(usize::MAX),
            position: count.node.position,
        },
        seed,
    })
}

impl Faithfulness {
    /// With its subset of so many samples.
    pub fn resolve(self, samples: usize) -> FaithfulnessSpec {
        let drawn = self.select.map(|select| {
            let all: Vec<usize> = (0..samples).collect();
            let mut drawn = random::draw(&all, select.count.value, select.seed);
            drawn.sort_unstable();
            drawn
        });
        FaithfulnessSpec {
            samples: drawn,
            ..self.spec
        }
    }
}
