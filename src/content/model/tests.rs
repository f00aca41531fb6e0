use super::*;

fn model(yaml: &str) -> Result<ModelSpec, Vec<String>> {
    let path = Path::new("content/models/m.yaml");
    let mut decoder = Decoder::new(path);
    let spec = read(Path::new("root"), path, "m", yaml, &mut decoder);
    spec.map(|(spec, _)| spec)
        .ok_or_else(|| decoder.diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn a_model_is_a_repository_or_a_folder() {
    let spec = model("source: mistralai/Mistral-7B-Instruct-v0.2\n").unwrap();
    assert_eq!(
        spec.source,
        ModelSource::Hub("mistralai/Mistral-7B-Instruct-v0.2".into())
    );
    assert_eq!(
        (spec.title.as_str(), spec.revision.as_str(), spec.dtype),
        ("m", "main", None)
    );
    let folder = |yaml: &str| model(yaml).unwrap().source;
    assert_eq!(
        folder("source: ./tiny"),
        ModelSource::Folder("root/content/models/tiny".into())
    );
    assert_eq!(folder("source: gpt2"), ModelSource::Hub("gpt2".into()));
    assert_eq!(
        folder("source: /models/tiny"),
        ModelSource::Folder("/models/tiny".into())
    );
    assert_eq!(
        folder("source: ./m.GGUF"),
        ModelSource::File("root/content/models/m.GGUF".into())
    );
    assert_eq!(
        folder("source: a/b-GGUF\nfile: q/m.gguf"),
        ModelSource::HubFile("a/b-GGUF".into(), "q/m.gguf".into())
    );
    let spec = model("title: T\ndescription: D\nsource: a/b\nrevision: 1.0\ndtype: bf16\nquantization: nf4\n").unwrap();
    assert_eq!(
        (spec.title.as_str(), spec.description.as_str(), spec.revision.as_str()),
        ("T", "D", "1.0")
    );
    assert_eq!((spec.dtype, spec.quantization), (Some(Dtype::Bf16), Quantization::Nf4));
}

#[test]
fn what_a_model_cannot_be() {
    for (yaml, message) in [
        (
            "title: x",
            "content/models/m.yaml:1:1: the key `source` is missing\n  expected: `source`: a repository of the Hugging Face hub",
        ),
        (
            "source: a/b/c",
            "content/models/m.yaml:1:9: source: `a/b/c` is no repository and no folder",
        ),
        (
            "source: ~/models/x",
            "source: `~/models/x` is no repository and no folder",
        ),
        (
            "source: a/b\nquantization: int8",
            "quantization: found text `int8`\n  expected: one of `none`, `fp4`, `nf4`",
        ),
        (
            "source: a/b\ndtype: float16",
            "dtype: found text `float16`\n  expected: one of `auto`, `f32`, `f16`, `bf16`",
        ),
        ("source: [a]", "source: found a list"),
        ("- a", "found a list\n  expected: a mapping with the keys `title`"),
        ("", "found nothing\n  expected: a mapping with the keys `title`"),
        ("source: a/b\nsuorce: c/d", "unknown key `suorce`"),
    ] {
        let errors = model(yaml).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains(message), "{yaml}: {errors:#?}");
    }
}
