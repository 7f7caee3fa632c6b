//! Settings that change while a run goes on.

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A value at the start and at the end of a run. In files it is a number, which means constant, or
/// `[start, end]`; as a text, which JSON and the command line want for infinity, `5` or `5:inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheduled {
    pub start: f64,
    pub end: f64,
}

impl Scheduled {
    /// The same value all the time.
    pub const fn constant(value: f64) -> Self {
        Self {
            start: value,
            end: value,
        }
    }

    /// The value when `part` (0 to 1) of the way from start to end is done. It moves linearly; where
    /// one end is infinite, its reciprocal does.
    pub fn at(self, part: f64) -> f64 {
        let blend = |start: f64, end: f64| (1.0 - part) * start + part * end;
        if self.start == self.end {
            self.start
        } else if self.start.is_infinite() || self.end.is_infinite() {
            1.0 / blend(self.start.recip(), self.end.recip())
        } else {
            blend(self.start, self.end)
        }
    }

    /// Whether both ends satisfy a condition.
    pub fn all(self, condition: impl Fn(f64) -> bool) -> bool {
        condition(self.start) && condition(self.end)
    }
}

impl From<f64> for Scheduled {
    fn from(value: f64) -> Self {
        Self::constant(value)
    }
}

impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            write!(f, "{}", self.start)
        } else {
            write!(f, "{}:{}", self.start, self.end)
        }
    }
}

impl FromStr for Scheduled {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>();
        let parsed = match text.split_once(':') {
            Some((start, end)) => number(start).and_then(|start| {
                let end = number(end)?;
                Ok(Self { start, end })
            }),
            None => number(text).map(Self::constant),
        };
        parsed.map_err(|_| format!("expected a number or START:END, got {text:?}"))
    }
}

impl Serialize for Scheduled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.start == self.end {
            return serializer.serialize_f64(self.start);
        }
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&self.start)?;
        pair.serialize_element(&self.end)?;
        pair.end()
    }
}

impl<'de> Deserialize<'de> for Scheduled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScheduledVisitor)
    }
}

struct ScheduledVisitor;

impl<'de> Visitor<'de> for ScheduledVisitor {
    type Value = Scheduled;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, [start, end] or \"start:end\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scheduled, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scheduled, E> {
        Ok(Scheduled::constant(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scheduled, E> {
        Ok(Scheduled::constant(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scheduled, E> {
        Ok(Scheduled::constant(value as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Scheduled, A::Error> {
        let count = |n: usize| A::Error::invalid_length(n, &self);
        let start = pair.next_element()?.ok_or_else(|| count(0))?;
        let end = pair.next_element()?.ok_or_else(|| count(1))?;
        if pair.next_element::<f64>()?.is_some() {
            return Err(count(3));
        }
        Ok(Scheduled { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_move_linearly_and_reciprocals_where_an_end_is_infinite() {
        let finite = Scheduled {
            start: 5.0,
            end: 1.5,
        };
        assert_eq!([finite.at(0.0), finite.at(1.0)], [5.0, 1.5]);
        assert!((finite.at(0.5) - 3.25).abs() < 1e-12);
        let opening = Scheduled {
            start: 0.05,
            end: f64::INFINITY,
        };
        assert!((opening.at(0.0) - 0.05).abs() < 1e-12);
        assert!((opening.at(0.5) - 0.1).abs() < 1e-12);
        assert_eq!(opening.at(1.0), f64::INFINITY);
        assert_eq!(Scheduled::constant(f64::INFINITY).at(0.3), f64::INFINITY);
        assert!((Scheduled::constant(0.1).at(0.3) - 0.1).abs() < f64::EPSILON);
    }

    #[test]
    fn text_reads_back_and_mistakes_are_named() {
        for (text, start, end) in [
            ("5", 5.0, 5.0),
            ("5:1.5", 5.0, 1.5),
            ("0.05:inf", 0.05, f64::INFINITY),
        ] {
            let parsed: Scheduled = text.parse().unwrap();
            assert_eq!(parsed, Scheduled { start, end });
            assert_eq!(parsed.to_string(), text);
        }
        for text in ["", "5:", "five", "5:1:2"] {
            let error = text.parse::<Scheduled>().unwrap_err();
            assert!(error.contains("START:END"), "{error}");
        }
    }
}
