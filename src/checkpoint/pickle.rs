//! The subset of pickle that `torch.save` writes for a state dictionary, interpreted as data.
//!
//! It refuses to run anything: the names a file may call are [`allowed`], each of which only describes a tensor.

use std::collections::HashMap;
use std::rc::Rc;

use crate::diagnostic::{Diagnostic, Result};

/// A tensor as the pickle describes it: a window on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The storage it looks at.
    pub storage: Storage,
    /// First element, counted in elements.
    pub offset: usize,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Elements between neighbours, for each dimension.
    pub stride: Vec<usize>,
}

/// A storage: a run of elements in a file `data/<key>` of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// `HalfStorage`, `FloatStorage`, …
    pub kind: String,
    /// Its file's name under `data/`.
    pub key: String,
}

/// Names that describe tensors. `torch.<Kind>Storage` comes besides.
fn allowed(module: &str, name: &str) -> bool {
    matches!(
        (module, name),
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_parameter") | ("collections", "OrderedDict")
    ) || (module == "torch" && name.ends_with("Storage") && name.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[derive(Clone, Debug)]
enum Value {
    None,
    Bool,
    Int(i64),
    Float,
    Text(String),
    /// Shared, so that recalling one again and again costs nothing; two deep at most.
    Tuple(Rc<[Value]>),
    /// Index into the machine's containers, which later instructions fill.
    Container(usize),
    /// The name; its module was checked.
    Global(String),
    Storage(Storage),
    Tensor(Tensor),
    Mark,
}

#[derive(Debug, Default)]
struct Container {
    list: Vec<Value>,
    pairs: Vec<(Value, Value)>,
}

/// Interprets the pickle and returns the dictionary's tensors in order.
///
/// # Errors
/// The pickle is cut off or malformed, names something that is not [`allowed`], or is not a dictionary of tensors.
pub fn state_dict(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: vec![],
        memo: HashMap::new(),
        containers: vec![],
    };
    let Value::Container(index) = machine.run()? else {
        return Err(malformed("the pickle holds no dictionary"));
    };
    let pairs = std::mem::take(&mut machine.containers[index].pairs);
    pairs
        .into_iter()
        .map(|pair| match pair {
            (Value::Text(name), Value::Tensor(tensor)) => Ok((name, tensor)),
            (Value::Text(name), _) => {
                Err(malformed(format!("`{name}` is no tensor")).expected("a state dictionary: names and tensors only"))
            }
            _ => Err(malformed("a key of the dictionary is no text")),
        })
        .collect()
}

fn malformed(message: impl Into<String>) -> Diagnostic {
    Diagnostic::checkpoint(message)
        .place("data.pkl")
        .help("download the file again")
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    containers: Vec<Container>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value> {
        loop {
            let at = self.at;
            let instruction = self.byte()?;
            match instruction {
                0x80 => {
                    let protocol = self.byte()?;
                    if protocol > 5 {
                        return Err(malformed(format!("pickle protocol {protocol}")).expected("at most 5"));
                    }
                }
                0x95 => _ = self.take(8)?,
                b'.' => return self.pop(),
                b'(' => self.stack.push(Value::Mark),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'K' => {
                    let n = self.byte()?;
                    self.stack.push(Value::Int(i64::from(n)));
                }
                b'M' => {
                    let n = self.number::<2>()?;
                    self.stack.push(Value::Int(n as i64));
                }
                b'J' => {
                    let n = self.number::<4>()? as u32;
                    self.stack.push(Value::Int(i64::from(n.cast_signed())));
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.stack.push(Value::Float);
                }
                b'X' => {
                    let length = self.number::<4>()?;
                    self.text(length)?;
                }
                0x8c => {
                    let length = usize::from(self.byte()?);
                    self.text(length)?;
                }
                b'}' | b']' => {
                    self.containers.push(Container::default());
                    self.stack.push(Value::Container(self.containers.len() - 1));
                }
                b')' => self.tuple(vec![])?,
                0x85..=0x87 => {
                    let count = usize::from(instruction - 0x84);
                    let from = self
                        .stack
                        .len()
                        .checked_sub(count)
                        .ok_or_else(|| malformed("an empty stack"))?;
                    let items = self.stack.split_off(from);
                    self.tuple(items)?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.tuple(items)?;
                }
                b'q' => {
                    let slot = u32::from(self.byte()?);
                    self.remember(slot)?;
                }
                b'r' => {
                    let slot = self.number::<4>()? as u32;
                    self.remember(slot)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let slot = u32::from(self.byte()?);
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = self.number::<4>()? as u32;
                    self.recall(slot)?;
                }
                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.global(&module, name)?;
                }
                0x93 => match (self.pop()?, self.pop()?) {
                    (Value::Text(name), Value::Text(module)) => self.global(&module, name)?,
                    _ => return Err(malformed("a global without a name")),
                },
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                // `state_dict()._metadata`: versions of modules, which say nothing of the weights.
                b'b' => _ = self.pop()?,
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.container()?.pairs.push((key, value));
                }
                b'u' => {
                    let items = self.since_mark()?;
                    if items.len() % 2 != 0 {
                        return Err(malformed("a key without a value"));
                    }
                    let container = self.container()?;
                    let mut items = items.into_iter();
                    while let (Some(key), Some(value)) = (items.next(), items.next()) {
                        container.pairs.push((key, value));
                    }
                }
                b'a' => {
                    let value = self.pop()?;
                    self.container()?.list.push(value);
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.container()?.list.extend(items);
                }
                other => {
                    return Err(malformed(format!("instruction 0x{other:02x} at byte {at}"))
                        .expected("only what torch.save writes for a dictionary of tensors"));
                }
            }
        }
    }

    fn tuple(&mut self, items: Vec<Value>) -> Result<()> {
        let nested =
            |value: &Value| matches!(value, Value::Tuple(inner) if inner.iter().any(|v| matches!(v, Value::Tuple(_))));
        if items.iter().any(nested) {
            return Err(
                malformed("tuples three deep").expected("only what torch.save writes for a dictionary of tensors")
            );
        }
        self.stack.push(Value::Tuple(items.into()));
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| malformed(format!("the pickle ends at byte {}", self.bytes.len())))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number<const N: usize>(&mut self) -> Result<usize> {
        let bytes = self.take(N)?;
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b)))
    }

    fn long(&mut self) -> Result<()> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(malformed(format!("a whole number of {length} bytes")));
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let bytes = self.take(length)?.to_vec();
        let text = String::from_utf8(bytes).map_err(|_| malformed("text that is not UTF-8"))?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|&b| b == b'\n')
            .ok_or_else(|| malformed("a name without an end"))?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.at += 1;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().ok_or_else(|| malformed("an empty stack"))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark));
        let mark = mark.ok_or_else(|| malformed("no mark on the stack"))?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn container(&mut self) -> Result<&mut Container> {
        match self.stack.last() {
            Some(Value::Container(index)) => Ok(&mut self.containers[*index]),
            _ => Err(malformed("items without a list or dictionary to hold them")),
        }
    }

    fn remember(&mut self, slot: u32) -> Result<()> {
        let value = self.stack.last().cloned().ok_or_else(|| malformed("an empty stack"))?;
        self.memo.insert(slot, value);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<()> {
        let value = self
            .memo
            .get(&slot)
            .cloned()
            .ok_or_else(|| malformed(format!("nothing in memo {slot}")))?;
        self.stack.push(value);
        Ok(())
    }

    fn global(&mut self, module: &str, name: String) -> Result<()> {
        if !allowed(module, &name) {
            return Err(Diagnostic::checkpoint(format!("the file asks to run `{module}.{name}`; nothing of it was run"))
                .place("data.pkl")
                .expected("a dictionary of tensors, which needs no code")
                .help("do not load this file with PyTorch either unless you trust where it came from; look for a safetensors version"));
        }
        self.stack.push(Value::Global(name));
        Ok(())
    }

    /// A persistent id: `("storage", torch.HalfStorage, key, location, elements)`.
    fn storage(&mut self) -> Result<()> {
        let Value::Tuple(parts) = self.pop()? else {
            return Err(malformed("a storage without a description"));
        };
        let [Value::Text(tag), Value::Global(kind), Value::Text(key), ..] = &*parts else {
            return Err(malformed("a storage that is not described as torch.save does"));
        };
        if tag != "storage" {
            return Err(malformed(format!("a persistent id of kind `{tag}`")));
        }
        self.stack.push(Value::Storage(Storage {
            kind: kind.clone(),
            key: key.clone(),
        }));
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let (Value::Global(name), Value::Tuple(arguments)) = (self.pop()?, arguments) else {
            return Err(malformed("a call of something that is no name"));
        };
        let made = match (name.as_str(), &*arguments) {
            ("OrderedDict", []) => {
                self.containers.push(Container::default());
                Value::Container(self.containers.len() - 1)
            }
            (
                "_rebuild_tensor_v2",
                [
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Tuple(shape),
                    Value::Tuple(stride),
                    ..,
                ],
            ) => Value::Tensor(Tensor {
                storage: storage.clone(),
                offset: usize::try_from(*offset).map_err(|_| malformed("a negative offset"))?,
                shape: sizes(shape)?,
                stride: sizes(stride)?,
            }),
            ("_rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            (name, _) => {
                return Err(malformed(format!(
                    "`{name}` with arguments that torch.save does not write"
                )));
            }
        };
        self.stack.push(made);
        Ok(())
    }
}

fn sizes(values: &[Value]) -> Result<Vec<usize>> {
    values
        .iter()
        .map(|value| match value {
            Value::Int(n) => usize::try_from(*n).map_err(|_| malformed("a negative size")),
            _ => Err(malformed("a size that is no whole number")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn code_is_refused_by_name() {
        // What `pickle.dumps` makes of an object whose __reduce__ is (os.system, ("true",)).
        let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
        let error = state_dict(bytes).unwrap_err();
        assert!(error.message.contains("asks to run `posix.system`"), "{error}");
    }

    #[test]
    fn a_cut_pickle_is_told() {
        assert!(
            state_dict(b"\x80\x02}q\x00")
                .unwrap_err()
                .message
                .contains("ends at byte 5")
        );
    }

    #[test]
    fn a_dictionary_of_something_else_is_told() {
        let error = state_dict(b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.").unwrap_err();
        assert_eq!(error.message, "`a` is no tensor");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            _ = state_dict(&bytes);
        }
    }
}
