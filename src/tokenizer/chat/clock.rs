//! Dates for templates: `strftime_now`, as transformers gives it to them.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

use crate::calendar;

/// Seconds since 1970: `SOURCE_DATE_EPOCH` where it is set, so that a build can be repeated on another day.
pub fn now() -> i64 {
    let set = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    set.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs() as i64)
    })
}

/// The directives that templates use, in UTC and English; another is an error.
pub fn strftime(format: &str, seconds: i64) -> Result<String, Error> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let date = calendar::date(days.into());
    let month = MONTHS[usize::from(date.month) - 1];
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        text += &match rest.next() {
            Some('Y') => date.year.to_string(),
            Some('y') => format!("{:02}", date.year.rem_euclid(100)),
            Some('m') => format!("{:02}", date.month),
            Some('d') => format!("{:02}", date.day),
            Some('e') => format!("{:2}", date.day),
            Some('B') => month.to_owned(),
            Some('b' | 'h') => month[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => format!("{:02}", second / 3600),
            Some('M') => format!("{:02}", second / 60 % 60),
            Some('S') => format!("{:02}", second % 60),
            Some('F') => date.to_string(),
            Some('%') => "%".to_owned(),
            other => {
                let directive = other.map_or_else(|| "%".to_owned(), |c| format!("%{c}"));
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now: `{directive}` is not known"),
                ));
            }
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_python_writes_them() {
        let at = 1_700_000_000;
        assert_eq!(
            strftime("%d %b %Y, %A %H:%M:%S %%", at).unwrap(),
            "14 Nov 2023, Tuesday 22:13:20 %"
        );
        assert_eq!(
            strftime("%B %e %y %F %a %m", 0).unwrap(),
            "January  1 70 1970-01-01 Thu 01"
        );
        assert!(strftime("%Q", at).is_err());
    }
}
