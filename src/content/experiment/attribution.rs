//! The `attribution` block: targets, output, baselines, rule.

use super::{AnswerOption, AttributionSpec};
use crate::content::decode::{Decoder, Field, Table};
use crate::content::names::{nearest, quoted, shortened};
use crate::diagnostic::Position;
use crate::terms::{Baseline, Batch, Method, Output, PathStart, Quadrature, Routing, Target, UnitKind};

const KEYS: [&str; 15] = [
    "methods",
    "units",
    "permutations",
    "seed",
    "targets",
    "output",
    "baselines",
    "routing",
    "quadrature",
    "steps",
    "estimate_error",
    "tolerance",
    "max_evaluations",
    "margin",
    "batch",
];
/// Words that are targets, and so cannot be letters.
pub const TARGET_WORDS: [&str; 4] = ["predicted", "gold", "all_options", "generated"];
/// Those of them that can be one side of a contrast.
const CONTRAST_WORDS: [&str; 2] = ["predicted", "gold"];
/// More points than this are a slip of the finger: a day of computing for one map.
const MOST_STEPS: u64 = 1_000_000;
/// Half of fewer points is no rule to compare with: the trapezoid needs both ends.
const FEWEST_TO_HALVE: usize = 4;

impl Default for AttributionSpec {
    fn default() -> Self {
        Self {
            methods: vec![Method::default()],
            units: UnitKind::default(),
            permutations: 25,
            seed: 0,
            targets: vec![Target::Predicted],
            output: Output::default(),
            baselines: vec![Baseline::Zero],
            routing: Routing::default(),
            quadrature: Quadrature::default(),
            steps: 512,
            estimate_error: false,
            tolerance: 0.01,
            max_evaluations: 4096,
            margin: 0.1,
            batch: Batch::default(),
        }
    }
}

/// The block as read.
#[derive(Clone, Debug, Default)]
pub struct Attribution {
    /// The block itself.
    pub spec: AttributionSpec,
    /// The place where it needs the right answer, if it does.
    pub needs_gold: Option<Position>,
    /// The place where it needs what the model says, if it does.
    pub needs_generate: Option<Position>,
}

/// Reads the block; what it leaves out has its default. `options` is `None` when they could not be read.
pub fn read(decoder: &mut Decoder, field: Option<Field>, options: Option<&[AnswerOption]>) -> Option<Attribution> {
    let Some(field) = field else {
        return Some(Attribution::default());
    };
    let table = decoder.table(&field, &KEYS)?;
    let mut read = Attribution::default();
    let before = decoder.diagnostics.error_count();
    let spec = &mut read.spec;
    if let Some(methods) = table.get("methods") {
        spec.methods = read_methods(decoder, &methods).unwrap_or_default();
    }
    if let Some(units) = table.get("units") {
        spec.units = decoder.choice(&units, UnitKind::WORDS).unwrap_or_default();
    }
    if let Some(targets) = table.get("targets") {
        let mut reader = TargetReader {
            decoder,
            options,
            needs_gold: None,
            needs_generate: None,
        };
        spec.targets = reader.targets(&targets).unwrap_or_default();
        (read.needs_gold, read.needs_generate) = (reader.needs_gold, reader.needs_generate);
    }
    if let Some(baselines) = table.get("baselines") {
        spec.baselines = read_baselines(decoder, &baselines).unwrap_or_default();
    }
    if let Some(output) = table.get("output") {
        spec.output = decoder.choice(&output, Output::WORDS).unwrap_or_default();
    }
    if let Some(routing) = table.get("routing") {
        spec.routing = decoder.choice(&routing, Routing::WORDS).unwrap_or_default();
    }
    if let Some(rule) = table.get("quadrature") {
        spec.quadrature = decoder.choice(&rule, Quadrature::WORDS).unwrap_or_default();
    }
    read_numbers(decoder, &table, spec);
    (decoder.diagnostics.error_count() == before).then_some(read)
}

fn read_numbers(decoder: &mut Decoder, table: &Table, spec: &mut AttributionSpec) {
    // It has no effect with the adaptive rule, which always estimates its error; nor have `steps`.
    if let Some(estimate) = table.get("estimate_error") {
        spec.estimate_error = decoder.boolean(&estimate).unwrap_or_default();
    }
    if let Some(steps) = table.get("steps") {
        // The trapezoid has a node at both ends.
        let least = if spec.quadrature == Quadrature::Trapezoid { 2 } else { 1 };
        if let Some(count) = decoder.whole(&steps, least..=MOST_STEPS) {
            spec.steps = count as usize;
            if spec.estimate_error && spec.quadrature.is_fixed() && spec.steps < FEWEST_TO_HALVE {
                let error = decoder.error(steps.node.position, "too few points to run the rule at half of them");
                decoder.push(
                    error
                        .place(&steps.name)
                        .expected(format!("{FEWEST_TO_HALVE} or more with `estimate_error: true`")),
                );
            }
        }
    }
    if let Some(permutations) = table.get("permutations") {
        spec.permutations = decoder.whole(&permutations, 2..=MOST_STEPS).unwrap_or_default() as usize;
    }
    if let Some(seed) = table.get("seed") {
        spec.seed = decoder.whole(&seed, 0..=u64::MAX).unwrap_or_default();
    }
    if let Some(tolerance) = table.get("tolerance") {
        spec.tolerance = decoder.positive(&tolerance).unwrap_or_default();
    }
    if let Some(margin) = table.get("margin") {
        spec.margin = decoder.positive(&margin).unwrap_or_default();
    }
    if let Some(evaluations) = table.get("max_evaluations") {
        spec.max_evaluations = decoder.whole(&evaluations, 1..=u64::MAX).unwrap_or_default() as usize;
    }
    if let Some(batch) = table.get("batch")
        && batch.scalar().is_none_or(|scalar| scalar.text != "auto")
    {
        spec.batch = decoder
            .whole(&batch, 1..=MOST_STEPS)
            .map_or(Batch::Auto, |points| Batch::Fixed(points as usize));
    }
}

fn read_methods(decoder: &mut Decoder, field: &Field) -> Option<Vec<Method>> {
    let mut methods = Vec::new();
    for item in decoder.list(field, "a list, such as [integrated_gradients]")? {
        let Some(method) = decoder.choice(&item, Method::WORDS) else {
            continue;
        };
        if methods.contains(&method) {
            twice(decoder, &item, "method");
        }
        methods.push(method);
    }
    Some(methods)
}

/// Baselines, each once; also what replaces a removed unit.
pub fn read_baselines(decoder: &mut Decoder, field: &Field) -> Option<Vec<Baseline>> {
    let mut baselines = Vec::new();
    for item in decoder.list(field, "a list, such as [zero, mean]")? {
        let baseline = if item.has("zero") {
            read_path_start(decoder, &item).map(Baseline::ZeroFrom)
        } else if item.is_map() {
            read_text(decoder, &item, "token", TOKEN).map(Baseline::Token)
        } else {
            decoder.choice(&item, Baseline::WORDS)
        };
        let Some(baseline) = baseline else { continue };
        if baselines.contains(&baseline) {
            twice(decoder, &item, "baseline");
        }
        baselines.push(baseline);
    }
    Some(baselines)
}

/// `{zero: {from: 0.0001}}`
fn read_path_start(decoder: &mut Decoder, field: &Field) -> Option<PathStart> {
    let table = decoder.table(field, &["zero"])?;
    let zero = decoder.require(&table, "zero", "where its path is entered: {from: 0.0001}")?;
    let table = decoder.table(&zero, &["from"])?;
    let from = decoder.require(&table, "from", "the α at which the path is entered")?;
    let start = PathStart::new(decoder.positive(&from)?);
    if start.is_none() {
        decoder.wrong(&from, format!("a number from {:e} on and below 1", PathStart::SMALLEST));
    }
    start
}

fn twice(decoder: &mut Decoder, item: &Field, what: &str) {
    let error = decoder
        .error(item.node.position, format!("this {what} is here twice"))
        .place(&item.name);
    decoder.push(error);
}

/// What `{token: "…"}` has.
const TOKEN: &str = "the text of a token";

/// `{token: "…"}` or `{text: "…"}`; blanks are part of the text.
fn read_text(decoder: &mut Decoder, field: &Field, key: &'static str, expected: &str) -> Option<String> {
    let table = decoder.table(field, &[key])?;
    let written = decoder.require(&table, key, expected)?;
    let text = decoder.written(&written, expected)?;
    if text.is_empty() {
        decoder.wrong(&written, expected);
        return None;
    }
    Some(text)
}

struct TargetReader<'a> {
    decoder: &'a mut Decoder,
    options: Option<&'a [AnswerOption]>,
    needs_gold: Option<Position>,
    needs_generate: Option<Position>,
}

impl TargetReader<'_> {
    fn targets(&mut self, field: &Field) -> Option<Vec<Target>> {
        let mut targets = Vec::new();
        for item in self.decoder.list(field, "a list, such as [predicted]")? {
            let Some(target) = self.target(&item, true) else {
                continue;
            };
            if targets.contains(&target) {
                twice(self.decoder, &item, "target");
            }
            targets.push(target);
        }
        Some(targets)
    }

    fn expected(&self, whole: bool) -> String {
        let mut words = vec![
            "`predicted`".to_owned(),
            "`gold`".to_owned(),
            "`{token: \"…\"}`".to_owned(),
        ];
        if whole {
            let more = [
                "`{text: \"…\"}`",
                "`generated`",
                "`all_options`",
                "`{contrast: [B, D]}`",
            ];
            words.extend(more.map(str::to_owned));
        }
        if let Some(options) = self.options.filter(|options| !options.is_empty()) {
            words.push(format!(
                "an option: {}",
                quoted(options.iter().map(|option| option.letter.as_str()))
            ));
        }
        format!("one of {}", words.join(", "))
    }

    /// One target; `whole` is false for the parts of a contrast.
    fn target(&mut self, field: &Field, whole: bool) -> Option<Target> {
        if let Some(scalar) = field.scalar() {
            return self.word(field, &scalar.text, whole);
        }
        if !field.is_map() {
            let expected = self.expected(whole);
            self.decoder.wrong(field, expected);
            return None;
        }
        if !whole {
            return read_text(self.decoder, field, "token", TOKEN).map(Target::Token);
        }
        let table = self.decoder.table(field, &["token", "text", "contrast"])?;
        match (table.get("token"), table.get("text"), table.get("contrast")) {
            (Some(_), None, None) => read_text(self.decoder, field, "token", TOKEN).map(Target::Token),
            (None, Some(_), None) => {
                const TEXT: &str = "the text that follows the prompt";
                read_text(self.decoder, field, "text", TEXT).map(Target::Text)
            }
            (None, None, Some(contrast)) => self.contrast(&contrast),
            _ => {
                let expected = self.expected(whole);
                self.decoder.wrong(field, expected);
                None
            }
        }
    }

    fn word(&mut self, field: &Field, word: &str, whole: bool) -> Option<Target> {
        let position = field.node.position;
        match word {
            "predicted" => return Some(Target::Predicted),
            "gold" => {
                self.needs_gold.get_or_insert(position);
                return Some(Target::Gold);
            }
            "generated" if whole => {
                self.needs_generate.get_or_insert(position);
                return Some(Target::Generated);
            }
            "all_options" if whole => {
                if self.options.is_some_and(<[AnswerOption]>::is_empty) {
                    let error = self
                        .decoder
                        .error(position, "`all_options`, but the experiment has no `options`");
                    self.decoder.push(error.place(&field.name));
                    return None;
                }
                return Some(Target::AllOptions);
            }
            _ => {}
        }
        let Some(options) = self.options else {
            return Some(Target::Option(word.to_owned()));
        };
        if options.iter().any(|option| option.letter == word) {
            return Some(Target::Option(word.to_owned()));
        }
        let letters = options.iter().map(|option| option.letter.as_str());
        let words = if whole { &TARGET_WORDS[..] } else { &CONTRAST_WORDS };
        let meant = nearest(
            word,
            words.iter().copied().chain(letters.filter(|letter| letter.len() > 1)),
        );
        let told = if !whole && TARGET_WORDS.contains(&word) {
            format!("`{word}` cannot be one side of a contrast")
        } else {
            format!("`{}` is no target and no option", shortened(word))
        };
        let error = self.decoder.error(position, told);
        let mut error = error.place(&field.name).expected(self.expected(whole));
        error.help = meant.map(|meant| format!("did you mean `{meant}`?"));
        self.decoder.push(error);
        None
    }

    fn contrast(&mut self, field: &Field) -> Option<Target> {
        const PAIR: &str = "two targets, such as [B, D]: the first minus the second";
        let items = self.decoder.list(field, PAIR)?;
        let [first, second] = items.as_slice() else {
            let error = self
                .decoder
                .error(field.node.position, format!("found {} targets", items.len()));
            self.decoder.push(error.place(&field.name).expected(PAIR));
            return None;
        };
        let (first, second) = (self.target(first, false), self.target(second, false));
        let (first, second) = (first?, second?);
        if first == second {
            let error = self.decoder.error(
                field.node.position,
                "a contrast of a target with itself is zero everywhere",
            );
            self.decoder
                .push(error.place(&field.name).expected("two different targets"));
            return None;
        }
        Some(Target::Contrast(Box::new(first), Box::new(second)))
    }
}
