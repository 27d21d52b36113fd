//! A throwaway server of this machine's programs, from the wish to the first answer.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use rehearsal::postgres::Session;
use rehearsal::providers::{Choice, Sandbox};

use super::figure::{By, Figure, Line, Measured};
use super::place::Place;
use super::samples::{Spread, Unit};

const STARTS: usize = 20;
const LIMIT: f64 = 0.2;

/// See the module.
pub struct LocalStart;

#[async_trait(?Send)]
impl Figure for LocalStart {
    fn name(&self) -> &'static str {
        "local-start"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        // The server of this place was the first: what is made once has been made.
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let (sandbox, took) = until_it_answers(place, Choice::Local).await?;
            sandbox.remove().await;
            times.push(took);
        }
        Ok(vec![Line::Measured(Measured {
            what: "a local sandbox, warm, until it answers".into(),
            spread: Spread::of_times(&times),
            unit: Unit::Seconds,
            limit: Some((LIMIT, By::Median)),
            detail: format!("{STARTS} starts; the search for the programs and a first query are part of it"),
        })])
    }
}

/// Starts one, asks it something, and tells how long that took.
pub(super) async fn until_it_answers(place: &Place, choice: Choice) -> Result<(Sandbox, Duration), rehearsal::Error> {
    let began = Instant::now();
    let sandbox = place.another(choice).await?;
    let session = Session::connect(&sandbox.database("postgres"), "bench", &place.cancel).await?;
    let took = began.elapsed();
    session.close().await;
    Ok((sandbox, took))
}
