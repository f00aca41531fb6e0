//! How much work a template may do. Tera has no such bound: loops in loops over ten things each run for as long as one
//! likes, and `{% set s = s ~ s %}` forty times fills the memory of any machine.
//!
//! Work is counted in units, about one a byte that is made or gone over; the templates of a project are rewritten when
//! they are loaded (`metered.rs`), so that all they do passes through the functions and filters here. The count is the
//! same on every machine, which a clock's would not be: a template that is refused is refused everywhere.

use std::cell::Cell;

use tera::value::{Key, ValueKind};
use tera::{Error, Kwargs, State, StringInput, Tera, TeraResult, Value};

/// Units for one page: some seconds at most, and no page of a site needs a tenth of them.
pub const PAGE_UNITS: u64 = 128 << 20;
/// Units for the prompt of one sample, besides [`PROMPT_UNITS_A_BYTE`].
pub const PROMPT_UNITS: u64 = 1 << 20;
/// Further units for each byte of the sample's row.
pub const PROMPT_UNITS_A_BYTE: u64 = 64;

/// What anything costs at least.
const LEAST: u64 = 16;
/// What an element of a list or an entry of a map costs, besides what is in it.
const ELEMENT: u64 = 32;
/// How deep lists and maps may be nested in each other: dropping a value takes the stack that deep.
pub const DEEPEST: usize = 128;

/// How many templates, components and blocks may be at work within each other: Tera renders them by calls within calls,
/// and each takes some kilobytes of the stack.
pub const DEEPEST_CALLS: usize = 64;

thread_local! {
    /// How many are at work on this thread.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// Units that are left to the template being rendered on this thread.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Why it was stopped.
    static STOPPED: Cell<Option<Stopped>> = const { Cell::new(None) };
}

/// Why a template was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It did more work than it may.
    Spent,
    /// It put lists into lists, too deep.
    TooDeep,
    /// It went from templates into templates, components and blocks, too deep.
    Calls,
}

/// Renders with this many units; says whether the template was stopped.
pub fn within<T>(units: u64, render: impl FnOnce() -> T) -> (T, Option<Stopped>) {
    let (left, calls) = (LEFT.replace(units), CALLS.replace(0));
    STOPPED.set(None);
    let done = render();
    LEFT.set(left);
    CALLS.set(calls);
    (done, STOPPED.take())
}

/// Takes units away.
///
/// # Errors
/// None are left.
pub fn charge(units: u64) -> TeraResult<()> {
    let left = LEFT.get();
    if left == u64::MAX {
        return Ok(());
    }
    match left.checked_sub(units.max(LEAST)) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => {
            LEFT.set(0);
            Err(stop(Stopped::Spent))
        }
    }
}

fn stop(why: Stopped) -> Error {
    STOPPED.set(Some(why));
    Error::message("the template is stopped")
}

/// Gives a Tera the filters and functions that rewritten templates call, and bounded ones in place of those whose
/// result may be far longer than what they get.
pub fn register(tera: &mut Tera) {
    tera.register_function("igsite_enter", |given: Kwargs, _: &State| {
        CALLS.set(CALLS.get() + 1);
        if CALLS.get() > DEEPEST_CALLS {
            return Err(stop(Stopped::Calls));
        }
        charge(count(&given, "n")?).map(|()| Value::safe_string(""))
    });
    tera.register_function("igsite_leave", |_: Kwargs, _: &State| {
        CALLS.set(CALLS.get().saturating_sub(1));
        Value::safe_string("")
    });
    tera.register_function("igsite_note", |given: Kwargs, _: &State| {
        if let Some(value) = argument(&given, "v") {
            charge(whole(value)?)?;
        }
        Ok::<_, Error>(Value::safe_string(""))
    });
    tera.register_function("igsite_at", |given: Kwargs, _: &State| {
        charge(argument(&given, "v").map_or(0, taken))?;
        Ok::<_, Error>(argument(&given, "i").cloned().unwrap_or_else(Value::none))
    });
    tera.register_filter("igsite_each", |value: Value, given: Kwargs, _: &State| {
        charge(length(&value).saturating_mul(count(&given, "n")?))?;
        Ok::<_, Error>(value)
    });
    tera.register_filter("igsite_taken", |value: Value, _: Kwargs, _: &State| {
        charge(taken(&value)).map(|()| value)
    });
    tera.register_filter("igsite_whole", |value: Value, _: Kwargs, _: &State| {
        charge(whole(&value)?).map(|()| value)
    });
    tera.register_filter("igsite_pairs", |value: Value, _: Kwargs, _: &State| {
        let (length, whole) = (length(&value), whole(&value)?);
        charge((length.saturating_mul(length) / 4).max(length.saturating_mul(whole) / 64))?;
        Ok::<_, Error>(value)
    });
    tera.register_filter("safe", |value: Value, _: Kwargs, _: &State| {
        charge(if value.is_string() {
            length(&value)
        } else {
            whole(&value)?
        })?;
        Ok::<_, Error>(if value.is_string() {
            value.mark_safe()
        } else {
            Value::safe_string(&value.to_string())
        })
    });
    tera.register_filter("replace", replace);
    tera.register_filter("join", join);
    tera.register_filter("indent", indent);
}

fn argument<'g>(given: &'g Kwargs, name: &str) -> Option<&'g Value> {
    given
        .iter()
        .find_map(|(key, value)| (key.as_str() == Some(name)).then_some(value))
}

fn count(given: &Kwargs, name: &str) -> TeraResult<u64> {
    given.must_get::<u64>(name)
}

/// How many elements a loop over a value has, or more.
fn length(value: &Value) -> u64 {
    match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len) as u64,
        _ => value.len().unwrap_or(0) as u64,
    }
}

/// What it costs to go over a value, but not into it.
fn taken(value: &Value) -> u64 {
    match value.kind() {
        ValueKind::String => length(value),
        _ => length(value).saturating_mul(ELEMENT),
    }
}

/// What it costs to go through all of a value: to show it, or to compare it. No more is counted than there are units.
fn whole(value: &Value) -> TeraResult<u64> {
    // Parts that are left to count, by depth: one level after the other would hold a level whole.
    let mut counted = 0;
    let left = LEFT.get();
    add(value, 0, left, &mut counted)?;
    Ok(counted)
}

fn add(value: &Value, depth: usize, left: u64, counted: &mut u64) -> TeraResult<()> {
    if depth > DEEPEST {
        return Err(stop(Stopped::TooDeep));
    }
    *counted += match value.kind() {
        ValueKind::String => value.as_str().map_or(0, str::len) as u64 + 4,
        // Up to 309 digits.
        ValueKind::F64 => match value.as_f64().map_or(0.0, f64::abs) {
            plain if plain == 0.0 || (1e-5..1e16).contains(&plain) => 24,
            _ => 330,
        },
        _ => ELEMENT,
    };
    if *counted > left {
        return Ok(());
    }
    if let Some(elements) = value.as_array() {
        for element in elements {
            if *counted > left {
                break;
            }
            add(element, depth + 1, left, counted)?;
        }
    } else if let Some(entries) = value.as_map() {
        for (key, element) in entries {
            if *counted > left {
                break;
            }
            *counted += key_length(key);
            add(element, depth + 1, left, counted)?;
        }
    }
    Ok(())
}

fn key_length(key: &Key<'_>) -> u64 {
    key.as_str().map_or(ELEMENT, |key| key.len() as u64 + 4)
}

/// As Tera's own, whose result may be as long as both its texts multiplied.
fn replace(value: StringInput<'_>, given: Kwargs, state: &State) -> TeraResult<Value> {
    let from = given.must_get::<&str>("from")?;
    let to = given.must_get::<StringInput<'_>>("to")?;
    let be_safe = state.autoescaping_enabled() && (value.is_safe() || to.is_safe());
    let (text, to) = if be_safe {
        (value.rendered(state)?, to.rendered(state)?)
    } else {
        (value.as_str().into(), to.as_str().into())
    };
    let times = text.matches(from).count() as u64;
    charge((text.len() as u64).saturating_add(times.saturating_mul(to.len() as u64)))?;
    let replaced = text.replace(from, &to);
    Ok(if be_safe {
        Value::safe_string(&replaced)
    } else {
        Value::from(replaced)
    })
}

/// As Tera's own, which sets in the same text any number of times.
fn join(values: &[Value], given: Kwargs, state: &State) -> TeraResult<Value> {
    let between = given.get::<StringInput<'_>>("sep")?;
    let is_safe = |value: &Value| value.is_string() && value.is_safe();
    let be_safe = state.autoescaping_enabled()
        && (values.iter().any(is_safe) || between.as_ref().is_some_and(StringInput::is_safe));
    let text = match &between {
        Some(between) if be_safe => between.rendered(state)?,
        Some(between) => between.as_str().into(),
        None => "".into(),
    };
    charge((values.len() as u64).saturating_mul(text.len() as u64))?;
    let parts = values.iter().map(|value| match value {
        value if !be_safe => Ok(value.to_string()),
        value if value.is_undefined() => Ok(String::new()),
        value => state.escape_if_needed(value),
    });
    let joined = parts.collect::<TeraResult<Vec<_>>>()?.join(&text);
    Ok(if be_safe {
        Value::safe_string(&joined)
    } else {
        Value::from(joined)
    })
}

/// As Tera's own, which puts up to 1,000 blanks before each line.
fn indent(value: StringInput<'_>, given: Kwargs, state: &State) -> TeraResult<Value> {
    let width = given.get::<usize>("width")?.unwrap_or(4).min(1000);
    let by = given.get::<StringInput<'_>>("indentation")?;
    let first = given.get::<bool>("first")?.unwrap_or(false);
    let blank = given.get::<bool>("blank")?.unwrap_or(false);
    if by.as_ref().is_some_and(|by| by.as_str().chars().count() != 1) {
        return Err(Error::message(
            "The `indentation` argument must contain exactly one character",
        ));
    }
    let be_safe = state.autoescaping_enabled() && (value.is_safe() || by.as_ref().is_some_and(StringInput::is_safe));
    let text = if be_safe {
        value.rendered(state)?
    } else {
        value.as_str().into()
    };
    let before = match &by {
        Some(by) if be_safe => by.rendered(state)?.repeat(width),
        Some(by) => by.as_str().repeat(width),
        None => " ".repeat(width),
    };
    charge((text.lines().count() as u64).saturating_mul(before.len() as u64))?;
    let mut indented = String::new();
    for (index, line) in text.lines().enumerate() {
        let moved = if index == 0 { first } else { blank || !line.is_empty() };
        if index > 0 {
            indented.push('\n');
        }
        if moved {
            indented.push_str(&before);
        }
        indented.push_str(line);
    }
    if text.ends_with('\n') {
        indented.push('\n');
    }
    Ok(if be_safe {
        Value::safe_string(&indented)
    } else {
        Value::from(indented)
    })
}
