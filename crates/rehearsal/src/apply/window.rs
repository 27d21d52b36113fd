//! The hours of a day in which batches may run.

use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

const DAY: u32 = 24 * 60;

/// `22:00-06:00 Europe/Berlin`: from the first minute on, up to the second one, over midnight where it is
/// the smaller. The zone is a name that the server knows, with its daylight saving time; `UTC` if none is
/// written. It is the server's clock that counts: whoever runs the command, wherever, it is one and the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Window {
    /// Minutes since midnight.
    from: u32,
    to: u32,
    /// As the server is asked for it.
    pub zone: String,
}

/// The window cannot be used on this server.
#[derive(Debug, thiserror::Error)]
#[error("the server knows no time zone `{zone}`, which limits.batch_window is written in")]
pub struct WindowError {
    /// As it is written.
    pub zone: String,
}

impl WindowError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        "write one that `SELECT name FROM pg_timezone_names` lists there, such as Europe/Berlin".into()
    }
}

/// Whether batches may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They may, for so long.
    Open(Duration),
    /// They may not, for so long.
    Closed(Duration),
}

impl Window {
    /// Whether it is open at that second of a day.
    #[must_use]
    pub fn at(&self, second_of_day: u32) -> State {
        let until = |minute: u32| {
            let wait = (minute * 60 + DAY * 60 - second_of_day % (DAY * 60)) % (DAY * 60);
            Duration::from_secs(wait.into())
        };
        let minute = second_of_day / 60 % DAY;
        let inside = if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        };
        if inside { State::Open(until(self.to)) } else { State::Closed(until(self.from)) }
    }

    /// When it opens, as people write it.
    #[must_use]
    pub fn opens(&self) -> String {
        format!("{} {}", clock(self.from), self.zone)
    }
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{} {}", clock(self.from), clock(self.to), self.zone)
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no time of day: write it as 22:00-06:00, or 22:00-06:00 Europe/Berlin");
        let (hours, zone) = text.trim().split_once(' ').unwrap_or((text.trim(), "UTC"));
        let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minute_of(from).ok_or_else(wrong)?, minute_of(to).ok_or_else(wrong)?);
        if from % DAY == to % DAY {
            return Err(format!("`{text}` begins when it ends: leave it out when batches may always run"));
        }
        let zone = zone.trim();
        // `UTC+2` would be a zone of POSIX, whose signs are the other way round: two hours west.
        let named = |letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '_' | '-');
        if zone.is_empty() || !zone.chars().all(named) {
            return Err(format!("`{zone}` is no name of a time zone: write one such as UTC or Europe/Berlin"));
        }
        Ok(Self { from: from % DAY, to: to % DAY, zone: zone.to_owned() })
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// `06:30`; `24:00` is the end of the day.
fn minute_of(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| plain)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(text: &str) -> Window {
        text.parse().unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn seconds(hours: u32, minutes: u32, seconds: u32) -> u32 {
        (hours * 60 + minutes) * 60 + seconds
    }

    #[test]
    fn a_day_and_a_night() {
        let day = window("9:00-17:30");
        assert_eq!(day.at(seconds(9, 0, 0)), State::Open(Duration::from_secs(8 * 3600 + 1800)));
        assert_eq!(day.at(seconds(17, 29, 59)), State::Open(Duration::from_secs(1)));
        assert_eq!(day.at(seconds(17, 30, 0)), State::Closed(Duration::from_secs(15 * 3600 + 1800)));
        let night = window("22:00-06:00 Europe/Berlin");
        assert_eq!(night.at(seconds(23, 0, 0)), State::Open(Duration::from_secs(7 * 3600)));
        assert_eq!(night.at(seconds(5, 59, 59)), State::Open(Duration::from_secs(1)));
        assert_eq!(night.at(seconds(6, 0, 0)), State::Closed(Duration::from_secs(16 * 3600)));
        assert_eq!(night.to_string(), "22:00-06:00 Europe/Berlin");
        assert_eq!(window("20:00-24:00").at(seconds(23, 59, 0)), State::Open(Duration::from_secs(60)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", "22-6", "22:00", "25:00-06:00", "22:60-06:00", "06:00-06:00", "00:00-24:00", "+2:00-06:00"] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        for zone in ["UTC+2", "+02:00", "Europe/Ber'lin"] {
            assert!(format!("22:00-06:00 {zone}").parse::<Window>().is_err(), "{zone}");
        }
    }

    proptest! {
        /// Whatever it says is true when the time is over, and was not a second before.
        #[test]
        fn it_changes_when_it_says(from in 0..DAY, length in 1..DAY, now in 0..DAY * 60) {
            let window = Window { from, to: (from + length) % DAY, zone: "UTC".into() };
            let later = |wait: Duration, less: u32| {
                window.at((now + u32::try_from(wait.as_secs()).unwrap_or(0) - less) % (DAY * 60))
            };
            match window.at(now) {
                State::Open(left) => {
                    prop_assert!(matches!(later(left, 1), State::Open(_)));
                    prop_assert!(matches!(later(left, 0), State::Closed(_)));
                }
                State::Closed(left) => {
                    prop_assert!(matches!(later(left, 1), State::Closed(_)));
                    prop_assert!(matches!(later(left, 0), State::Open(_)));
                }
            }
        }
    }
}
