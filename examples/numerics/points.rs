//! Igsite's float32 values at each point of the cases of a reference (`expected.json`, the form of
//! `tests/reference/make.py`), for `benches/kinks.py` to hold against PyTorch point by point.

use std::error::Error;
use std::fs;
use std::path::Path;

use burn::tensor::DType;
use igsite::attribution::integrated_gradients::{Explainer, Points, Scalar};
use igsite::attribution::quadrature;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use igsite::terms::{BaselineVector, Batch, Output, Quadrature, Routing};
use serde_json::{Value, json};

/// The cases in order, each with `alphas`, `weights`, `outputs` and `scores` (by point and token).
///
/// # Errors
/// The folder has no checkpoint and reference that fit, or a baseline other than `zero`, `mean` and `eos`.
pub fn of(folder: &Path) -> Result<String, Box<dyn Error>> {
    let reference: Value = serde_json::from_slice(&fs::read(folder.join("expected.json"))?)?;
    let checkpoint = Checkpoint::open(folder)?;
    let end = checkpoint.config.special.eos;
    let mut explainer = Explainer::load(&checkpoint, &Backend::cpu(), DType::F32)?;
    let mut all = Vec::new();
    for prompt in reference["prompts"].as_array().into_iter().flatten() {
        let ids: Vec<u32> = serde_json::from_value(prompt["ids"].clone())?;
        let token = |target: &Value| {
            let id = match target.as_str() {
                Some("predicted") => &prompt["predicted_id"],
                letter => &prompt["option_ids"][letter.unwrap_or_default()],
            };
            id.as_u64().map(|id| id as u32).ok_or("a target without a token")
        };
        for case in prompt["cases"].as_array().into_iter().flatten() {
            let (token, minus) = match &case["target"] {
                Value::Array(pair) => (token(&pair[0])?, Some(token(&pair[1])?)),
                target => (token(target)?, None),
            };
            let start = match case["baseline"].as_str() {
                Some("zero") => BaselineVector::Zero,
                Some("mean") => BaselineVector::Mean,
                Some("eos") => BaselineVector::Token(end.ok_or("no end-of-text token")?),
                _ => return Err(format!("baseline {}", case["baseline"]).into()),
            };
            let output: Output = serde_json::from_value(case["output"].clone())?;
            let rule: Quadrature = serde_json::from_value(case["quadrature"].clone())?;
            let steps: usize = serde_json::from_value(case["steps"].clone())?;
            let nodes = quadrature::points(rule, steps);
            let path = explainer.path(&ids, start, &[], Routing::Free)?;
            let points = Points {
                path: &path,
                alphas: nodes.iter().map(|node| node.alpha).collect(),
                asked: vec![Scalar { token, output, minus }.into()],
            };
            let found = explainer.evaluate(&[points], Batch::Auto, &mut |_| ())?.remove(0);
            all.push(json!({
                "row": prompt["row"],
                "case": case,
                "token": token,
                "minus": minus,
                "alphas": nodes.iter().map(|node| node.alpha).collect::<Vec<f64>>(),
                "weights": nodes.iter().map(|node| node.weight).collect::<Vec<f64>>(),
                "outputs": found.iter().map(|of| of[0].output).collect::<Vec<f64>>(),
                "scores": found.iter().map(|of| of[0].scores.clone()).collect::<Vec<Vec<f64>>>(),
            }));
        }
    }
    Ok(serde_json::to_string(&all)?)
}
