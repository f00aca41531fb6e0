//! Days to dates in the Gregorian calendar, in UTC: all of the calendar that igsite needs.

use std::time::{SystemTime, UNIX_EPOCH};

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Year; 0 and less are before the common era.
    pub year: i128,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// Days since 1970-01-01 to a date, by eras of 400 years that begin on 1 March, so that a leap day ends its year.
pub fn date(days: i128) -> Date {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    Date {
        year: era * 400 + year + next,
        month: month as u8,
        day: day as u8,
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A time to the second, as RFC 3339 writes it: `2026-01-01T00:00:00Z`. A clock may be set to any year, also to one
/// that RFC 3339 has no way to write.
pub fn timestamp(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::from(after.as_secs()),
        Err(error) => -(error.duration().as_nanos().div_ceil(1_000_000_000) as i128),
    };
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{}T{hour:02}:{minute:02}:{:02}Z", date(day), second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_can_be_written() {
        use std::time::Duration;
        let at = |seconds: i64| {
            let far = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 {
                UNIX_EPOCH - far
            } else {
                UNIX_EPOCH + far
            }
        };
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (-631_152_000, "1950-01-01T00:00:00Z"),
            (253_402_300_800, "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(at(seconds)), expected);
        }
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_millis(1)), "1969-12-31T23:59:59Z");
        let now = SystemTime::now();
        assert_eq!(timestamp(now), humantime::format_rfc3339_seconds(now).to_string());
    }

    #[test]
    fn days_are_dates_on_both_sides_of_1970() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (20_454, "2026-01-01"),
            (-25_508, "1900-03-01"),
            (-719_468, "0000-03-01"),
        ] {
            assert_eq!(date(days).to_string(), expected);
        }
    }
}
