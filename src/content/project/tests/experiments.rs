//! The keys of an experiment, and prompts.

use super::*;
use crate::terms::{Baseline, Batch, Output, PathStart, PromptStyle, Quadrature, Role, Target};

#[test]
fn a_small_experiment_has_every_default() {
    let site = Site::new().experiment("");
    let project = site.project();
    let [experiment] = project.experiments.as_slice() else {
        panic!()
    };
    assert_eq!(
        (experiment.id.as_str(), experiment.title.as_str(), experiment.draft),
        ("e", "e", false)
    );
    assert_eq!(experiment.path, Path::new("content/experiments/e.yaml"));
    assert_eq!(experiment.models, ["m"]);
    assert_eq!(experiment.attribution.targets, [Target::Predicted]);
    assert_eq!(experiment.attribution.baselines, [Baseline::Zero]);
    assert_eq!(experiment.attribution.quadrature, Quadrature::Adaptive);
    assert_eq!(
        (experiment.attribution.steps, experiment.attribution.batch),
        (512, Batch::Auto)
    );
    assert_eq!(
        (experiment.attribution.tolerance, experiment.attribution.margin),
        (0.01, 0.1)
    );
    assert_eq!(
        (
            experiment.attribution.max_evaluations,
            experiment.attribution.estimate_error
        ),
        (4096, false)
    );
    assert_eq!(experiment.attribution.output, Output::Probability);
    let [a, b] = experiment.samples.as_slice() else {
        panic!()
    };
    assert_eq!(
        (a.id.as_str(), a.slug.as_str(), a.gold.as_deref()),
        ("a", "a", Some("A"))
    );
    assert_eq!((b.gold.as_deref(), b.prompt.text.as_str()), (Some("B"), "Down? ("));
    assert_eq!(a.fields.keys().collect::<Vec<_>>(), ["id", "text", "label"]);
    assert_eq!(
        project.models["m"].source,
        ModelSource::Folder(site.0.path().join("content/models/m"))
    );
}

#[test]
fn everything_can_be_said() {
    let more = "title: T\ndescription: \"*d*\"\nattribution:\n  targets: [predicted, gold, all_options, A, {token: ' x'}, {contrast: [B, gold]}, {contrast: [A, {token: y}]}]\n  \
        output: log_probability\n  baselines: [mean, {token: z}]\n  quadrature: trapezoid\n  steps: 4\n  estimate_error: true\n  tolerance: 1e-3\n  \
        max_evaluations: 99\n  margin: 1\n  batch: 8\n";
    let project = Site::new().experiment(more).project();
    let spec = &project.experiments[0].attribution;
    assert_eq!(spec.targets.len(), 7);
    assert_eq!(spec.targets[4], Target::Token(" x".into()));
    assert_eq!(
        spec.targets[5],
        Target::Contrast(Box::new(Target::Option("B".into())), Box::new(Target::Gold))
    );
    assert_eq!(spec.baselines, [Baseline::Mean, Baseline::Token("z".into())]);
    let entered = "title: T\nattribution:\n  baselines: [zero, {zero: {from: 1e-4}}, {zero: {from: 0.5}}]\n";
    let project = Site::new().experiment(entered).project();
    let starts = [1e-4, 0.5].map(|alpha| Baseline::ZeroFrom(PathStart::new(alpha).unwrap()));
    let [first, second] = starts;
    assert_eq!(
        project.experiments[0].attribution.baselines,
        [Baseline::Zero, first, second]
    );
    assert_eq!(
        (spec.quadrature, spec.steps, spec.batch),
        (Quadrature::Trapezoid, 4, Batch::Fixed(8))
    );
    assert_eq!((spec.estimate_error, spec.max_evaluations), (true, 99));
    assert_eq!(
        (spec.output, spec.tolerance, spec.margin),
        (Output::LogProbability, 0.001, 1.0)
    );
}

#[test]
fn what_the_attribution_refuses() {
    for (block, message) in [
        (
            "quadrature: adaptiv",
            "attribution.quadrature: found text `adaptiv`\n  expected: one of `adaptive`, `gauss_legendre`, `riemann_left`",
        ),
        (
            "quadrature: riemann_left, estimate_error: true, steps: 3",
            "attribution.steps: too few points to run the rule at half of them\n  expected: 4 or more with `estimate_error: true`",
        ),
        (
            "estimate_error: 1",
            "attribution.estimate_error: found the number `1`\n  expected: `true` or `false`",
        ),
        (
            "max_evaluations: 0",
            "attribution.max_evaluations: found the number `0`\n  expected: a whole number, 1 or more",
        ),
        (
            "quadrature: trapezoid, steps: 1",
            "attribution.steps: found the number `1`\n  expected: a whole number from 2 to 1000000",
        ),
        (
            "targets: [C]",
            "attribution.targets[0]: `C` is no target and no option\n  expected: one of `predicted`, `gold`, `{token: \"…\"}`, `{text: \"…\"}`, `generated`, `all_options`, `{contrast: [B, D]}`, an option: `A`, `B`",
        ),
        ("targets: [predictd]", "help: did you mean `predicted`?"),
        ("targets: [A, A]", "attribution.targets[1]: this target is here twice"),
        (
            "targets: [{contrast: [A]}]",
            "attribution.targets[0].contrast: found 1 targets\n  expected: two targets",
        ),
        (
            "targets: [{contrast: [A, all_options]}]",
            "`all_options` cannot be one side of a contrast",
        ),
        (
            "targets: [{contrast: [A, A]}]",
            "a contrast of a target with itself is zero everywhere",
        ),
        (
            "targets: [{token: ''}]",
            "attribution.targets[0].token: found blank text\n  expected: the text of a token",
        ),
        (
            "targets: predicted",
            "found text `predicted`\n  expected: a list, such as [predicted]",
        ),
        ("targets: []", "found an empty list"),
        ("baselines: [zeros]", "attribution.baselines[0]: found text `zeros`"),
        (
            "baselines: [{zero: {from: 1}}]",
            "attribution.baselines[0].zero.from: found the number `1`\n  expected: a number from 1e-30 on and below 1",
        ),
        (
            "baselines: [{zero: {from: 0}}]",
            "attribution.baselines[0].zero.from: found the number `0`\n  expected: a number above 0",
        ),
        (
            "baselines: [{zero: 0.1}]",
            "attribution.baselines[0].zero: found the number `0.1`\n  expected: a mapping with the keys `from`",
        ),
        (
            "baselines: [{zero: {form: 0.1, from: 0.1}}]",
            "help: did you mean `from`?",
        ),
        (
            "baselines: [{zero: {from: 0.1}}, {zero: {from: 1e-1}}]",
            "attribution.baselines[1]: this baseline is here twice",
        ),
        ("tolerance: 0", "found the number `0`\n  expected: a number above 0"),
        (
            "max_evaluations: many",
            "found text `many`\n  expected: a whole number, 1 or more",
        ),
        (
            "batch: some",
            "found text `some`\n  expected: a whole number from 1 to 1000000",
        ),
    ] {
        let errors = Site::new().experiment(&format!("attribution: {{{block}}}\n")).errors();
        assert!(errors.len() == 1 && errors[0].contains(message), "{block}: {errors:#?}");
        assert!(
            errors[0].starts_with("content/experiments/e.yaml:7:"),
            "{block}: {errors:#?}"
        );
    }
}

#[test]
fn what_belongs_to_the_other_rule_is_harmless() {
    for block in [
        "quadrature: adaptive, steps: 512, tolerance: 0.01, max_evaluations: 4096",
        "steps: 1, estimate_error: true",
        "quadrature: gauss_legendre, max_evaluations: 9",
        "quadrature: gauss_legendre, estimate_error: true",
    ] {
        Site::new().experiment(&format!("attribution: {{{block}}}\n")).project();
    }
}

#[test]
fn worked_examples_come_first() {
    let site = Site::new().data("gold: label, select: {rows: [0, 3]}", "shots: {count: 2, seed: 1}\n");
    let project = site.project();
    let [x, w] = project.experiments[0].samples.as_slice() else {
        panic!()
    };
    assert_eq!(
        x.prompt
            .segments
            .iter()
            .map(|segment| segment.name.as_str())
            .collect::<Vec<_>>(),
        ["shots", "claim"]
    );
    // Only two other rows have a right answer, so these are the ones, in the order of the draw.
    let examples = ["two? (B\n\n", "three? (A\n\n"];
    let texts = [examples.concat(), [examples[1], examples[0]].concat()].map(|examples| examples + "one? (");
    assert!(texts.contains(&x.prompt.text), "{}", x.prompt.text);
    assert!(
        w.prompt.text.ends_with("four? (") && !w.prompt.text.contains("four? (A"),
        "{}",
        w.prompt.text
    );
    assert_eq!(w.prompt.segments[0].end, w.prompt.segments[1].start);
    let errors = Site::new()
        .data("gold: label, select: {rows: [0]}", "shots: {count: 3}\n")
        .errors();
    assert_eq!(
        errors,
        [
            "content/experiments/e.yaml:6:16: shots.count: 3 worked examples are asked for, and a sample has 2 other rows with a right answer"
        ]
    );
}

#[test]
fn in_a_chat_segments_have_roles_and_examples_are_the_users() {
    let prompt = "prompt_style: chat\nprompt:\n  - {segment: manner, role: system, text: 'Be brief.'}\n  - {segment: claim, text: '{{ text }}? '}\n  - {segment: answer, role: assistant, text: 'Choice: ('}\n";
    let yaml = format!("models: [m]\n{ROWS}{prompt}{OPTIONS}shots: {{count: 1}}\n");
    let project = Site::new().file("content/experiments/e.yaml", &yaml).project();
    let experiment = &project.experiments[0];
    assert_eq!(experiment.prompt_style, PromptStyle::Chat);
    let prompt = &experiment.samples[0].prompt;
    assert_eq!(prompt.text, "Be brief.Down? Choice: (B\n\nUp? Choice: (");
    let names: Vec<&str> = prompt.segments.iter().map(|segment| segment.name.as_str()).collect();
    assert_eq!(names, ["manner", "shots", "claim", "answer"]);
    assert_eq!(prompt.roles, [Role::System, Role::User, Role::User, Role::Assistant]);
    for (prompt, message) in [
        (
            "prompt: [{segment: a, role: user, text: x}]",
            "2:29: prompt[0].role: `role` goes with `prompt_style: chat` only\n  help: write `prompt_style: chat`, or leave `role` out",
        ),
        (
            "prompt_style: chatt\nprompt: [{segment: a, text: x}]",
            "2:15: prompt_style: found text `chatt`\n  expected: one of `plain`, `chat`\n  help: did you mean `chat`?",
        ),
        (
            "prompt_style: chat\nprompt: [{segment: a, role: usr, text: x}]",
            "3:29: prompt[0].role: found text `usr`\n  expected: one of `system`, `user`, `assistant`\n  help: did you mean `user`?",
        ),
        (
            "prompt_style: chat\nprompt: [{segment: a, text: x}, {segment: b, role: system, text: x}]",
            "3:52: prompt: a segment of the system after one of the user\n  expected: first what the system says, then the user, then the assistant",
        ),
        (
            "prompt_style: chat\nprompt: [{segment: a, role: assistant, text: x}, {segment: b, text: x}]",
            "3:50: prompt: a segment of the user after one of the assistant\n  expected: first what the system says, then the user, then the assistant",
        ),
        (
            "prompt_style: chat\nprompt: [{segment: a, role: system, text: x}]",
            "3:9: prompt: no segment is the user's, and a chat is an answer to the user\n  expected: a segment without `role`, or with `role: user`",
        ),
        (
            "prompt_style: chat\nprompt: [{segment: template, text: x}]",
            "3:20: prompt[0].segment: `template` is the segment of what a chat template adds\n  expected: another name",
        ),
    ] {
        let yaml = format!("models: [m]\n{prompt}\ndataset: {{rows: [{{a: b}}]}}\n");
        let errors = Site::new().file("content/experiments/e.yaml", &yaml).errors();
        assert_eq!(errors, [format!("content/experiments/e.yaml:{message}")], "{prompt}");
    }
    let plain = "models: [m]\nprompt: [{segment: template, text: x}]\ndataset: {rows: [{a: b}]}\n";
    Site::new().file("content/experiments/e.yaml", plain).project();
}

#[test]
fn options_and_prompts_are_checked() {
    for (from, to, message) in [
        (
            OPTIONS,
            "options: {A: true, B: true}\n",
            "options.B: `true` is the value of `A` too",
        ),
        (
            OPTIONS,
            "options: {gold: true}\n",
            "options: `gold` is a word for a target, not a letter",
        ),
        (
            OPTIONS,
            "options: {' A': true}\n",
            "options: ` A` cannot be an option's letter",
        ),
        (OPTIONS, "options: {A: }\n", "options.A: found nothing"),
        (
            OPTIONS,
            "options: {}\n",
            "options: found a mapping\n  expected: a mapping from letters to values",
        ),
        (
            OPTIONS,
            "",
            "dataset.gold: `gold` without `options`: nothing says which letter a value stands for",
        ),
        (PROMPT, "prompt: []\n", "prompt: found an empty list"),
        (PROMPT, "", "the key `prompt` is missing"),
        (
            PROMPT,
            "prompt: [{segment: shots, text: x}]\n",
            "prompt[0].segment: `shots` is the segment of the worked examples",
        ),
        (
            PROMPT,
            "prompt: [{text: x}]\n",
            "prompt[0]: the key `segment` is missing",
        ),
        (
            PROMPT,
            "prompt: [{segment: a, text: '{{ text'}]\n",
            "prompt[0].text (segment `a`), line 1, column ",
        ),
        (
            PROMPT,
            "prompt: [{segment: a, text: '{% if false %}x{% endif %}'}]\n",
            "row 0: the prompt of this row is empty",
        ),
        (
            "models: [m]\n",
            "models: [m, m]\n",
            "models[1]: the model `m` is here twice",
        ),
        ("models: [m]\n", "models: []\n", "models: found an empty list"),
    ] {
        let yaml = format!("models: [m]\n{ROWS}{PROMPT}{OPTIONS}").replace(from, to);
        let errors = Site::new().file("content/experiments/e.yaml", &yaml).errors();
        assert!(errors[0].contains(message), "{to}: {errors:#?}");
    }
}

#[test]
fn where_the_cause_lies_is_a_list_of_segments() {
    // All that is ranked lies there, which is a warning.
    let (project, _) = Site::new()
        .experiment("expected: [claim]\n")
        .load(&Selection::default())
        .unwrap();
    assert_eq!(project.experiments[0].expected, ["claim"]);
    assert_eq!(Site::new().experiment("").project().experiments[0].expected, [""; 0]);
    for (expected, message) in [
        (
            "[cliam]",
            "7:12: expected[0]: the prompt has no segment `cliam`\n  expected: one of `claim`\n  help: did you mean `claim`?",
        ),
        ("[claim, claim]", "7:19: expected[1]: the segment `claim` is here twice"),
        (
            "claim",
            "7:11: expected: found text `claim`\n  expected: a list of segments of the prompt, such as [cause]",
        ),
        (
            "[]",
            "7:11: expected: found an empty list\n  expected: a list of segments of the prompt, such as [cause]",
        ),
        // Worked examples are no part of a sample: no cause of its answer is known there.
        ("[shots]", "7:12: expected[0]: the prompt has no segment `shots`"),
    ] {
        let errors = Site::new().experiment(&format!("expected: {expected}\n")).errors();
        let found = errors[0].strip_prefix("content/experiments/e.yaml:").unwrap();
        assert!(found.starts_with(message), "{expected}: {errors:#?}");
    }
}
