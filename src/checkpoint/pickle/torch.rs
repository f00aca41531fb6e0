//! The names that a state dictionary calls, and what becomes of them.

use std::rc::Rc;

use super::{Machine, Storage, Tensor, Value, malformed, shortened};
use crate::diagnostic::{Diagnostic, Result};

/// Names that describe tensors. `torch.<Kind>Storage` comes besides.
fn allowed(module: &str, name: &str) -> bool {
    matches!(
        (module, name),
        (
            "torch._utils",
            "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_parameter"
        ) | ("collections", "OrderedDict")
    ) || (module == "torch" && name.ends_with("Storage") && name.bytes().all(|b| b.is_ascii_alphanumeric()))
}

impl Machine<'_> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<()> {
        if !allowed(module, name) {
            let called = shortened(&format!("{module}.{name}"));
            return Err(Diagnostic::checkpoint(format!("the file asks to run `{called}`; nothing of it was run"))
                .place("data.pkl")
                .expected("a dictionary of tensors, which needs no code")
                .help("do not load this file with PyTorch either unless you trust where it came from; look for a safetensors version"));
        }
        self.push(Value::Global(name.into()))
    }

    /// A persistent id: `("storage", torch.HalfStorage, key, location, elements)`, and in the older format a sixth
    /// element: none, or `(name, first element, elements)` of a part that is a storage by itself.
    pub(super) fn storage(&mut self) -> Result<()> {
        let value = self.pop()?;
        let Some([Value::Text(tag), Value::Global(kind), Value::Text(key), rest @ ..]) = value.items() else {
            return Err(malformed("a storage that is not described as torch.save does"));
        };
        if **tag != *"storage" {
            return Err(malformed(format!("a persistent id of kind `{}`", shortened(tag))));
        }
        let view = match rest.get(2) {
            None | Some(Value::None) => None,
            Some(part) => match part.items() {
                Some([Value::Text(_), Value::Int(first), Value::Int(count)]) => Some((size(*first)?, size(*count)?)),
                _ => {
                    return Err(malformed(
                        "a part of a storage that is not described as torch.save does",
                    ));
                }
            },
        };
        self.kinds.insert(key.clone(), kind.clone());
        let storage = Storage {
            kind: kind.clone(),
            key: key.clone(),
            view,
        };
        self.push(Value::Storage(storage.into()))
    }

    pub(super) fn call(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let (Value::Global(name), Some(arguments)) = (self.pop()?, arguments.items()) else {
            return Err(malformed("a call of something that is no name"));
        };
        let made = match (&*name, arguments) {
            ("OrderedDict", []) => self.new_container()?,
            (
                "_rebuild_tensor" | "_rebuild_tensor_v2",
                [Value::Storage(storage), Value::Int(offset), shape, stride, ..],
            ) => Value::Tensor(Rc::new(Tensor {
                storage: storage.clone(),
                offset: size(*offset)?,
                shape: sizes(shape)?,
                stride: sizes(stride)?,
            })),
            ("_rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            (name, _) => {
                return Err(malformed(format!(
                    "`{name}` with arguments that torch.save does not write"
                )));
            }
        };
        self.push(made)
    }
}

/// Sides of a shape. PyTorch itself has no tensor of more than 64.
fn sizes(value: &Value) -> Result<Vec<usize>> {
    const MOST: usize = 64;
    let items = value.items().filter(|items| items.len() <= MOST);
    let items = items.ok_or_else(|| malformed(format!("a shape that is no tuple of at most {MOST} whole numbers")))?;
    let whole = |value: &Value| match value {
        Value::Int(n) => size(*n),
        _ => Err(malformed("a size that is no whole number")),
    };
    items.iter().map(whole).collect()
}

fn size(n: i64) -> Result<usize> {
    usize::try_from(n).map_err(|_| malformed("a negative size"))
}
