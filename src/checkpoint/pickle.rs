//! The subset of pickle that `torch.save` writes for a state dictionary, interpreted as data.
//!
//! It runs nothing: the names that a file may call are in [`torch`], and each of them only describes a tensor. What a
//! file can make it store is bounded ([`Limits`]): values are shared, not copied, and no instruction makes more than
//! one of them.

#[cfg(test)]
mod tests;
mod torch;

use std::collections::HashMap;
use std::rc::Rc;

use crate::diagnostic::{Diagnostic, Result};

/// A tensor as the pickle describes it: a window on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The storage it looks at.
    pub storage: Rc<Storage>,
    /// First element, counted in elements.
    pub offset: usize,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Elements between neighbours, for each dimension.
    pub stride: Vec<usize>,
}

/// A storage: a run of elements in a file `data/<key>` of the archive, or after the pickles of a file in the older
/// format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// `HalfStorage`, `FloatStorage`, …
    pub kind: Rc<str>,
    /// Its name.
    pub key: Rc<str>,
    /// A part of it that is a storage by itself: first element and number of elements. In the older format only.
    pub view: Option<(usize, usize)>,
}

/// What a file in the format before PyTorch 1.6 says in its four pickles.
#[derive(Debug)]
pub struct Legacy {
    /// The dictionary's tensors in order.
    pub tensors: Vec<(Rc<str>, Tensor)>,
    /// The storages in the order in which they follow, and of which kind each is.
    pub storages: Vec<(Rc<str>, Rc<str>)>,
    /// Where the storages begin, in bytes.
    pub end: usize,
}

/// How much a pickle may use. A file of 20,000 tensors (a shard of the largest models has some thousands) needs a
/// million instructions, and 200,000 places in the memo.
#[derive(Clone, Copy, Debug)]
struct Limits {
    instructions: usize,
    /// Values that wait for an instruction; Python writes a dictionary's entries by the thousand.
    stack: usize,
    containers: usize,
    memo: usize,
}

const LIMITS: Limits = Limits {
    instructions: 1 << 23,
    stack: 1 << 17,
    containers: 1 << 17,
    memo: 1 << 20,
};

/// The first of the four pickles of the older format: `MAGIC_NUMBER` in torch/serialization.py, the least significant
/// byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The second: `PROTOCOL_VERSION`.
const VERSION: i64 = 1001;

/// All that is large is shared, so that recalling a value again and again costs nothing.
#[derive(Clone, Debug)]
enum Value {
    None,
    Bool,
    Int(i64),
    /// A whole number of more than eight bytes, the least significant first.
    Wide(Rc<[u8]>),
    Float,
    Text(Rc<str>),
    /// Two deep at most.
    Tuple(Rc<[Value]>),
    /// A tuple that holds tuples.
    TupleOfTuples(Rc<[Value]>),
    /// Index into the machine's containers, which later instructions fill.
    Container(usize),
    /// The name; its module was checked.
    Global(Rc<str>),
    Storage(Rc<Storage>),
    Tensor(Rc<Tensor>),
    Mark,
}

impl Value {
    fn items(&self) -> Option<&[Value]> {
        match self {
            Self::Tuple(items) | Self::TupleOfTuples(items) => Some(items),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
struct Container {
    list: Vec<Value>,
    pairs: Vec<(Value, Value)>,
}

/// Interprets the pickle and returns the dictionary's tensors in order.
///
/// # Errors
/// The pickle is truncated or malformed, names something that is not in [`torch`], exceeds a limit, or is not a
/// dictionary of tensors.
pub fn state_dict(bytes: &[u8]) -> Result<Vec<(Rc<str>, Tensor)>> {
    let mut machine = Machine::new(bytes, LIMITS);
    let value = machine.run()?;
    machine.tensors(&value)
}

/// Interprets the four pickles at the beginning of a file in the format before PyTorch 1.6; none if they continue after
/// these bytes.
///
/// # Errors
/// As [`state_dict`]; or the pickles are others.
pub fn legacy(bytes: &[u8]) -> Result<Option<Legacy>> {
    let mut machine = Machine::new(bytes, LIMITS);
    match machine.legacy() {
        Err(_) if machine.cut => Ok(None),
        read => read.map(Some),
    }
}

fn malformed(message: impl Into<String>) -> Diagnostic {
    Diagnostic::checkpoint(message)
        .place("data.pkl")
        .help("download the file again")
}

fn too_much(what: &str, limit: usize) -> Diagnostic {
    Diagnostic::checkpoint(format!("the pickle asks for more than {limit} {what}"))
        .place("data.pkl")
        .expected("a list of tensors, which needs a small part of that")
        .help("the file is not a model's weights, or is damaged: download it again, or look for a safetensors version")
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
    instructions: usize,
    /// Whether an instruction continued after the end.
    cut: bool,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    containers: Vec<Container>,
    /// Kinds of the storages by key.
    kinds: HashMap<Rc<str>, Rc<str>>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8], limits: Limits) -> Self {
        Self {
            bytes,
            at: 0,
            limits,
            instructions: 0,
            cut: false,
            stack: vec![],
            memo: HashMap::new(),
            containers: vec![],
            kinds: HashMap::new(),
        }
    }

    fn tensors(&mut self, value: &Value) -> Result<Vec<(Rc<str>, Tensor)>> {
        let Value::Container(index) = value else {
            return Err(malformed("the pickle holds no dictionary"));
        };
        let pairs = std::mem::take(&mut self.containers[*index].pairs);
        pairs
            .into_iter()
            .map(|pair| match pair {
                (Value::Text(name), Value::Tensor(tensor)) => Ok((name, (*tensor).clone())),
                (Value::Text(name), _) => Err(malformed(format!("`{}` is no tensor", shortened(&name)))
                    .expected("a state dictionary: names and tensors only")),
                _ => Err(malformed("a key of the dictionary is no text")),
            })
            .collect()
    }

    fn legacy(&mut self) -> Result<Legacy> {
        let other = || malformed("neither a zip archive nor a file of PyTorch before 1.6");
        match self.next()? {
            Value::Wide(number) if *number == MAGIC => {}
            _ => return Err(other()),
        }
        match self.next()? {
            Value::Int(VERSION) => {}
            _ => return Err(other()),
        }
        // Sizes of C's types on the machine that wrote it, and its byte order. Storages are little-endian whatever it
        // says.
        self.next()?;
        let value = self.next()?;
        let tensors = self.tensors(&value)?;
        let Value::Container(keys) = self.next()? else {
            return Err(malformed("no list of storages behind the dictionary"));
        };
        let mut storages = Vec::new();
        for key in std::mem::take(&mut self.containers[keys].list) {
            let Value::Text(key) = key else {
                return Err(malformed("a storage's name is no text"));
            };
            let kind = self.kinds.get(&key).cloned();
            let kind = kind.ok_or_else(|| malformed(format!("storage `{}` belongs to no tensor", shortened(&key))))?;
            storages.push((key, kind));
        }
        Ok(Legacy {
            tensors,
            storages,
            end: self.at,
        })
    }

    /// The value of the next pickle.
    fn next(&mut self) -> Result<Value> {
        self.memo.clear();
        self.stack.clear();
        self.run()
    }

    fn push(&mut self, value: Value) -> Result<()> {
        if self.stack.len() >= self.limits.stack {
            return Err(too_much("values at a time", self.limits.stack));
        }
        self.stack.push(value);
        Ok(())
    }

    fn new_container(&mut self) -> Result<Value> {
        if self.containers.len() >= self.limits.containers {
            return Err(too_much("lists and dictionaries", self.limits.containers));
        }
        self.containers.push(Container::default());
        Ok(Value::Container(self.containers.len() - 1))
    }
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value> {
        loop {
            let at = self.at;
            self.instructions += 1;
            if self.instructions > self.limits.instructions {
                return Err(too_much("instructions", self.limits.instructions));
            }
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
                b'(' => self.push(Value::Mark)?,
                b'N' => self.push(Value::None)?,
                0x88 | 0x89 => self.push(Value::Bool)?,
                b'K' => {
                    let n = self.byte()?;
                    self.push(Value::Int(i64::from(n)))?;
                }
                b'M' => {
                    let n = self.number::<2>()?;
                    self.push(Value::Int(n as i64))?;
                }
                b'J' => {
                    let n = self.number::<4>()? as u32;
                    self.push(Value::Int(i64::from(n.cast_signed())))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Float)?;
                }
                b'X' => {
                    let length = self.number::<4>()?;
                    self.text(length)?;
                }
                0x8c => {
                    let length = usize::from(self.byte()?);
                    self.text(length)?;
                }
                // Python 2 wrote its texts so.
                b'T' => {
                    let length = self.number::<4>()?;
                    self.text(length)?;
                }
                b'U' => {
                    let length = usize::from(self.byte()?);
                    self.text(length)?;
                }
                b'}' | b']' => {
                    let container = self.new_container()?;
                    self.push(container)?;
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
                    self.global(module, name)?;
                }
                0x93 => match (self.pop()?, self.pop()?) {
                    (Value::Text(name), Value::Text(module)) => self.global(&module, &name)?,
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
        if items.iter().any(|value| matches!(value, Value::TupleOfTuples(_))) {
            return Err(
                malformed("tuples three deep").expected("only what torch.save writes for a dictionary of tensors")
            );
        }
        let deep = items.iter().any(|value| matches!(value, Value::Tuple(_)));
        let items = items.into();
        self.push(if deep {
            Value::TupleOfTuples(items)
        } else {
            Value::Tuple(items)
        })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            self.cut = true;
            return Err(malformed(format!("the pickle ends at byte {}", self.bytes.len())));
        };
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
            return self.push(Value::Wide(bytes.into()));
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("text that is not UTF-8"))?;
        self.push(Value::Text(text.into()))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().take(LONGEST_LINE).position(|&b| b == b'\n') else {
            self.cut = rest.len() < LONGEST_LINE;
            return Err(malformed("a name without an end"));
        };
        let line = std::str::from_utf8(self.take(length)?).map_err(|_| malformed("a name that is not UTF-8"))?;
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
        if self.memo.len() > self.limits.memo {
            return Err(too_much("values to remember", self.limits.memo));
        }
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<()> {
        let value = self
            .memo
            .get(&slot)
            .cloned()
            .ok_or_else(|| malformed(format!("nothing in memo {slot}")))?;
        self.push(value)
    }
}

/// No name of a module or class is longer.
const LONGEST_LINE: usize = 1 << 12;

/// Text from the file, as much of it as a message can hold.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
