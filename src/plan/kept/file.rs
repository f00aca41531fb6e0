//! The lines of a stored plan's file, each with its checksum.

use super::Unread;
use crate::store::seal;

/// A line's number, from 1, and its JSON: none where its checksum is another.
pub type Line<'t> = (usize, Option<&'t str>);

/// A line of its own; a sample's is sealed within its head, whose own belongs to nothing.
pub fn sealed_line(json: &str, head: &str) -> String {
    seal::seal(json, head) + "\n"
}

/// The first line's JSON, and the other lines.
///
/// # Errors
/// The first line's checksum is another, or it has none.
pub fn unsealed_lines(text: &str) -> Result<(&str, impl Iterator<Item = Line<'_>>), Unread> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let head = seal::open(first, "").ok_or(if is_of_version_1(first) {
        Unread::Version
    } else {
        Unread::Head
    })?;
    let lines = lines.enumerate();
    Ok((
        head,
        lines.map(move |(index, line)| (index + 2, seal::open(line, head))),
    ))
}

/// Whether a line is a head from before lines had checksums.
fn is_of_version_1(line: &str) -> bool {
    let head: Option<serde_json::Value> = serde_json::from_str(line).ok();
    head.is_some_and(|head| head["schema"] == "igsite/plan/1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_belong_to_their_head() {
        let text = |head: &str| sealed_line(head, "") + &sealed_line("{\"sample\":1}", head);
        let (one, other) = (text("{\"model\":1}"), text("{\"model\":2}"));
        let (head, lines) = unsealed_lines(&one).unwrap();
        assert_eq!(head, "{\"model\":1}");
        assert_eq!(lines.collect::<Vec<_>>(), [(2, Some("{\"sample\":1}"))]);
        // As a merge may leave them.
        let mixed = [one.lines().next().unwrap(), other.lines().nth(1).unwrap()].join("\n");
        assert_eq!(unsealed_lines(&mixed).unwrap().1.collect::<Vec<_>>(), [(2, None)]);
    }

    #[test]
    fn a_head_is_damaged_or_of_another_version() {
        assert_eq!(unsealed_lines("").err(), Some(Unread::Head));
        assert_eq!(
            unsealed_lines("{\"schema\":\"igsite/plan/2\"}").err(),
            Some(Unread::Head)
        );
        assert_eq!(
            unsealed_lines("{\"schema\":\"igsite/plan/1\"}").err(),
            Some(Unread::Version)
        );
    }
}
