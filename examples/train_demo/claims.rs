//! Synthetic claims with a known cause.
//!
//! Real statements have no known cause: nobody can say which words *should* light up in a heatmap. These claims do.
//! Each is about an invented place, told by an invented speaker, and exactly two things in it decide the verdict:
//!
//! 1. the **cause**, one of [`CAUSES`]: a phrase of one or two words which stands for one verdict of the scale
//!    (`nearly` for mostly-true, `by magic` for pants-fire);
//! 2. the **stance**, one verb: [`AFFIRMING`] verbs leave the verdict as it is, [`DENYING`] verbs turn the scale round
//!    (true ↔ pants-fire, mostly-true ↔ false, half-true ↔ barely-true).
//!
//! All the rest is **company**: speaker, teller, place, deed, thing, time and where the cause stands are each drawn
//! without looking at the verdict. A map is right when stance and cause carry it.
//!
//! Everything follows from a seed through [`SplitMix64`]; this module reads and writes nothing.

use serde::Serialize;

/// The verdicts, from true to absurd, as LIAR writes them; option `A` is the first.
pub const VERDICTS: [&str; 6] = ["true", "mostly-true", "half-true", "barely-true", "false", "pants-fire"];

/// The phrases that decide, five for each verdict, in the order of [`VERDICTS`].
///
/// None of them holds a word of the options or of the instruction, and every preposition in them stands with several
/// verdicts or with the company, so that it says little alone.
pub const CAUSES: [[&str; 5]; 6] = [
    ["verifiably", "on record", "provably", "by audit", "certifiably"],
    ["nearly", "broadly", "in general", "largely", "roughly"],
    ["partly", "in places", "somewhat", "by turns", "with gaps"],
    ["hardly", "scarcely", "at best", "faintly", "with luck"],
    ["allegedly", "by rumour", "supposedly", "on hearsay", "mistakenly"],
    ["magically", "by dragon", "on moonbeams", "with elves", "impossibly"],
];

/// Verbs that leave the verdict as the cause says.
pub const AFFIRMING: [&str; 4] = ["say", "hear", "think", "repeat"];

/// Verbs that turn the scale round.
pub const DENYING: [&str; 2] = ["deny", "dispute"];

/// Invented speakers, as LIAR writes speakers: lower case, hyphens for blanks.
pub const SPEAKERS: [&str; 14] = [
    "orla-quist",
    "bram-tolvane",
    "hesper-drune",
    "dag-merrowin",
    "ilka-sornby",
    "wendel-prowse-ek",
    "mirabel-strand",
    "tam-oddling",
    "2nd-ward-league",
    "lantern-guild",
    "sella-varn",
    "joris-pell",
    "unsigned-leaflet",
    "harbour-gazette",
];

/// Who says, hears, thinks, repeats, denies or disputes it.
pub const TELLERS: [&str; 8] = [
    "locals",
    "critics",
    "clerks",
    "traders",
    "farmers",
    "sailors",
    "teachers",
    "neighbours",
];

/// Invented places.
pub const PLACES: [&str; 20] = [
    "Zelmoor",
    "Ostrivale",
    "Brambek",
    "Velpora",
    "Dunmarsk",
    "Tarrowek",
    "Ilmarn",
    "Corvendel",
    "Plinth Bay",
    "Gruskow",
    "Hobbelin",
    "Yarnova",
    "Mirrowick",
    "Uppergloam",
    "Pebbrook",
    "Wexholm",
    "Lanternes",
    "Oddermouth",
    "Junivar",
    "Skelderon",
];

/// What a place did …
pub const DEEDS: [&str; 10] = [
    "doubled", "sold", "closed", "repaired", "moved", "cut", "funded", "painted", "taxed", "insured",
];

/// … to what …
pub const THINGS: [&str; 12] = [
    "ferry fleet",
    "bridge toll",
    "bread fund",
    "school roof",
    "tram line",
    "clinic",
    "harbour wall",
    "water tower",
    "market hall",
    "night bus",
    "library",
    "orchard",
];

/// … when; `#` is a number.
pub const TIMES: [&str; 6] = [
    "in # years",
    "since 19##",
    "for ## crowns",
    "after # votes",
    "before ## elections",
    "with # loans",
];

/// Where the cause stands.
pub const POSITIONS: [&str; 3] = ["before-deed", "after-thing", "last"];

/// One claim: a row of `content/data/claims.jsonl`.
///
/// `opening`, `stance`, `before`, `cause` and `after`, joined, are `statement`; the experiment makes each a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// `claim-001` …
    pub id: String,
    /// One of [`SPEAKERS`].
    pub speaker: String,
    /// The claim as a reader sees it; about half begin with `Says `.
    pub statement: String,
    /// The right verdict, one of [`VERDICTS`].
    pub label: String,
    /// Company: up to the stance.
    pub opening: String,
    /// Decides: the verb, one of [`AFFIRMING`] or [`DENYING`], with the blank before it.
    pub stance: String,
    /// Company: between stance and cause.
    pub before: String,
    /// Decides: one of [`CAUSES`], with the blank before it.
    pub cause: String,
    /// Company: the rest.
    pub after: String,
    /// The verdict that the cause stands for: `label` itself under an affirming verb, its mirror under a denying one.
    pub cause_verdict: String,
    /// Company: who says or denies it.
    pub teller: String,
    /// Company: which place.
    pub place: String,
    /// Company: which deed.
    pub deed: String,
    /// Company: which thing.
    pub thing: String,
    /// Company: which of [`TIMES`].
    pub time: String,
    /// Company: where the cause stands, one of [`POSITIONS`].
    pub position: String,
}

impl Claim {
    /// The index of the right verdict in [`VERDICTS`].
    pub fn verdict(&self) -> usize {
        VERDICTS
            .iter()
            .position(|v| *v == self.label)
            .expect("a label is a verdict")
    }

    /// The letter of the right option.
    pub fn letter(&self) -> char {
        char::from(b'A' + self.verdict() as u8)
    }

    /// The prompt: what `content/experiments/claims.yaml` renders for this row.
    pub fn prompt(&self) -> String {
        let claim = self
            .statement
            .split_once("Says ")
            .map_or(self.statement.as_str(), |(_, rest)| rest);
        format!("{INSTRUCTION}{}:\n{claim}{OPTIONS}{ANSWER}", title_case(&self.speaker))
    }
}

const INSTRUCTION: &str = "Please select the option that most closely describes the following claim by ";
const OPTIONS: &str =
    "\n\nA) True\nB) Mostly True\nC) Half True\nD) Barely True\nE) False\nF) Pants on Fire (absurd lie)";
const ANSWER: &str = "\n\nChoice: (";

/// Which claims are meant: those to learn from, or those kept back.
///
/// A fifth of all pairs of place and cause is kept back: for every place one cause of each verdict. No held-out claim
/// has a pair that training has seen, and place and verdict are independent on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Training,
    /// Kept back.
    HeldOut,
}

impl Split {
    /// On which side a pair of place and cause (counted within its verdict) stands.
    pub fn of(place: usize, cause: usize) -> Self {
        if (place + cause).is_multiple_of(5) {
            Self::HeldOut
        } else {
            Self::Training
        }
    }
}

/// An endless stream of claims. The verdicts come in shuffled rounds of six, so that any six claims from a multiple of
/// six on hold each verdict once.
pub struct Claims {
    random: SplitMix64,
    split: Split,
    round: Vec<usize>,
    count: usize,
}

impl Claims {
    /// The stream of a seed.
    pub fn new(seed: u64, split: Split) -> Self {
        Self {
            random: SplitMix64::new(seed),
            split,
            round: Vec::new(),
            count: 0,
        }
    }
}

impl Iterator for Claims {
    type Item = Claim;

    fn next(&mut self) -> Option<Claim> {
        let random = &mut self.random;
        if self.round.is_empty() {
            self.round = (0..VERDICTS.len()).collect();
            random.shuffle(&mut self.round);
        }
        let verdict = self.round.pop()?;

        // What decides: the stance freely, then the cause that gives the verdict under it.
        let stance = random.below(AFFIRMING.len() + DENYING.len());
        let (stance, cause_verdict) = match AFFIRMING.get(stance) {
            Some(verb) => (*verb, verdict),
            None => (DENYING[stance - AFFIRMING.len()], VERDICTS.len() - 1 - verdict),
        };
        let place = random.below(PLACES.len());
        let allowed: Vec<usize> = (0..5).filter(|cause| Split::of(place, *cause) == self.split).collect();
        let cause = CAUSES[cause_verdict][random.pick(&allowed)];

        // Company: nothing below looks at the verdict.
        let (speaker, teller) = (random.pick(&SPEAKERS), random.pick(&TELLERS));
        let (place, deed, thing) = (PLACES[place], random.pick(&DEEDS), random.pick(&THINGS));
        let time = random.pick(&TIMES);
        let number = |c| {
            if c == '#' {
                char::from(b'1' + random.below(9) as u8)
            } else {
                c
            }
        };
        let when: String = time.chars().map(number).collect();
        let position = random.pick(&POSITIONS);
        let (before, after) = match position {
            "before-deed" => (format!(" {place}"), format!(" {deed} its {thing} {when}.")),
            "after-thing" => (format!(" {place} {deed} its {thing}"), format!(" {when}.")),
            _ => (format!(" {place} {deed} its {thing} {when}"), ".".to_owned()),
        };
        let opening = if random.below(2) == 0 {
            format!("Says {teller}")
        } else {
            title_case(teller)
        };

        self.count += 1;
        let (stance, cause) = (format!(" {stance}"), format!(" {cause}"));
        Some(Claim {
            id: format!("claim-{:03}", self.count),
            speaker: speaker.to_owned(),
            statement: format!("{opening}{stance}{before}{cause}{after}"),
            label: VERDICTS[verdict].to_owned(),
            opening,
            stance,
            before,
            cause,
            after,
            cause_verdict: VERDICTS[cause_verdict].to_owned(),
            teller: teller.to_owned(),
            place: place.to_owned(),
            deed: deed.to_owned(),
            thing: thing.to_owned(),
            time: time.to_owned(),
            position: position.to_owned(),
        })
    }
}

/// The seed of the held-out claims.
pub const HELD_OUT_SEED: u64 = 2026;

/// How many held-out claims `content/data/claims.jsonl` has.
pub const HELD_OUT_COUNT: usize = 240;

/// The held-out claims: what `content/data/claims.jsonl` holds.
pub fn held_out() -> Vec<Claim> {
    Claims::new(HELD_OUT_SEED, Split::HeldOut)
        .take(HELD_OUT_COUNT)
        .collect()
}

/// Claims as JSON Lines.
pub fn to_jsonl(claims: &[Claim]) -> String {
    claims
        .iter()
        .map(|claim| serde_json::to_string(claim).expect("a claim is plain strings") + "\n")
        .collect()
}

/// `-` to a blank, then Python's `str.title()`: a letter after a non-letter raised, a letter after a letter lowered.
/// For ASCII; igsite's own filter `speaker_name` does it for all of Unicode.
fn title_case(name: &str) -> String {
    let mut after_letter = false;
    let raise = |c: char| {
        let c = if c == '-' { ' ' } else { c };
        let raised = if after_letter {
            c.to_ascii_lowercase()
        } else {
            c.to_ascii_uppercase()
        };
        after_letter = c.is_ascii_alphabetic();
        raised
    };
    name.chars().map(raise).collect()
}

/// Steele, Lea and Flood's SplitMix64 (2014): a few lines, the same everywhere, good enough to draw words with.
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// One of the items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Fisher and Yates's shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
